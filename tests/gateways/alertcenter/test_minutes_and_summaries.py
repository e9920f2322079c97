"""Nothing is left out of the rows or the messages, and both are bounded."""

from __future__ import annotations

from gateways.alertcenter.lines import Alert
from gateways.alertcenter.minute import KINDS_MAX, MINUTE_US, OTHERS, SHAPES_MAX, UNSAFE_MAX, Minutes
from gateways.alertcenter.summary import GROUPS_MAX, Summary


def test_equal_lines_of_a_minute_are_one_row() -> None:
    minutes = Minutes(7)
    assert [minutes.add(Alert("a", text), time_us) for text, time_us in (("x", 5), ("y", 6), ("x", 9))] == [
        True,
        True,
        False,
    ]
    rows = minutes.take()
    assert [(row.id, row.host, row.text, row.count, row.first_us, row.last_us) for row in rows] == [
        (7, "a", "x", 2, 5, 9),
        (8, "a", "y", 1, 6, 6),
    ]
    assert minutes.unsafe == 0
    assert minutes.add(Alert("a", "x"), MINUTE_US) is True
    assert [(row.id, row.count) for row in minutes.take()] == [(9, 1)]


def test_a_row_that_grew_after_a_failed_batch_keeps_its_count() -> None:
    minutes = Minutes(1)
    minutes.add(Alert("a", "x"), 1)
    minutes.add(Alert("a", "y"), 1)
    failed = minutes.take()
    minutes.add(Alert("a", "x"), 2)
    minutes.put_back(failed)
    assert [(row.id, row.count) for row in minutes.take()] == [(1, 2), (2, 1)]


def test_a_flood_of_different_lines_is_counted_in_bounded_rows() -> None:
    minutes = Minutes(1)
    lines = [f"request {number} failed" for number in range(5_000)] + [f"kind {'k' * n}" for n in range(500)]
    for line in lines:
        minutes.add(Alert("a", line), 1)
    rows = minutes.take()
    assert len(rows) <= KINDS_MAX + SHAPES_MAX + 1
    assert sum(row.count for row in rows) == len(lines)
    by_text = {row.text: row.count for row in rows}
    assert by_text["request # failed"] == 5_000 - KINDS_MAX
    assert by_text[OTHERS.text] > 0


def test_rows_stay_bounded_while_nothing_can_be_stored() -> None:
    minutes = Minutes(1)
    count = 0
    for minute in range(100):
        for number in range(300):
            minutes.add(Alert("a", "z" * number), minute * MINUTE_US)
            count += 1
    assert minutes.unsafe <= UNSAFE_MAX + KINDS_MAX + SHAPES_MAX + 1
    assert sum(row.count for row in minutes.take()) == count


def test_a_message_groups_lines_that_differ_in_numbers() -> None:
    summary = Summary()
    for number in range(3):
        summary.add(Alert("box", f"[fatal] pid {number} died"), 1, number, number)
    summary.add(Alert("other", "[fatal] disk full"), 5, 10, 20)
    message = summary.message()
    assert message.subject == "[VX alert] 8 fatal lines from box, other"
    assert message.text.count("\n") == 4
    assert "3 times until" in message.text and "box: [fatal] pid 0 died" in message.text
    assert summary.last_us == 20
    told = message.as_json()
    assert [(one["host"], one["count"]) for one in told["alerts"]] == [("box", 3), ("other", 5)]
    assert told["alerts"][0]["first"] == "1970-01-01 00:00:00+00:00"


def test_one_line_is_told_in_the_singular() -> None:
    summary = Summary()
    summary.add(Alert("box", "x"), 1, 0, 0)
    assert summary.message().subject == "[VX alert] 1 fatal line from box"


def test_a_summary_is_bounded_and_counts_the_rest() -> None:
    summary = Summary()
    for number in range(GROUPS_MAX + 30):
        summary.add(Alert(f"h{number}", "x" * 100_000), 2, 0, 0)
    message = summary.message()
    assert message.count == 2 * (GROUPS_MAX + 30)
    assert "and 60 lines of other kinds" in message.text
    assert "and 47 more" in message.subject
    assert len(message.text) < GROUPS_MAX * 2_200


def test_a_failed_message_and_what_came_since_become_one() -> None:
    first, later = Summary(), Summary()
    first.add(Alert("a", "n 1"), 2, 5, 6)
    later.add(Alert("a", "n 2"), 3, 7, 9)
    later.add(Alert("b", "m"), 1, 8, 8)
    first.include(later)
    groups = first.message().groups
    assert [(group.text, group.count, group.first_us, group.last_us) for group in groups] == [
        ("n 1", 5, 5, 9),
        ("m", 1, 8, 8),
    ]
    assert (first.count, first.last_us) == (6, 9)

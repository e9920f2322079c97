"""A row that the columns refuse is put aside with the reason; the rest of its batch is committed."""

from __future__ import annotations

from typing import Any

from tests.vxutils.store.mysql.databases import Pair, rows_only, sequences_in
from vxutils.store.embedded.schema import HistoryBatch


def with_balance(batch: HistoryBatch, index: int, **changed: str) -> None:
    names = ("sequence", "time_us", "user_id", "asset", "business", "change", "balance", "detail")
    row: Any = batch.balances[index]
    batch.balances[index] = tuple(changed.get(name, value) for name, value in zip(names, row, strict=True))


def test_each_kind_of_value_that_does_not_fit(pair: Pair) -> None:
    batch = rows_only(0, 60)
    with_balance(batch, 3, business="b" * 31)
    with_balance(batch, 10, change="1" + "0" * 22)
    with_balance(batch, 11, detail='{"note": "\U0001f600"}')
    with_balance(batch, 25, detail='{"note": "' + "x" * 65_536 + '"}')
    with_balance(batch, 59, balance="1" + "0" * 14)
    batch.operlog[7] = (8, 8, batch.operlog[7][2], "\U0001f600")
    writer = pair.open()
    writer.append(batch)
    writer.append(rows_only(60, 70))
    letters = writer.take_dead_letters()
    assert writer.take_dead_letters() == []
    writer.close()
    assert sorted(letter.sequence for letter in letters) == [4, 8, 11, 12, 26, 60]
    logged, changes = sequences_in(pair)
    assert logged == [number for number in range(1, 71) if number != 8]
    assert changes == [number for number in range(1, 71) if number not in (4, 11, 12, 26, 60)]

    rows = pair.rows("history", "SELECT sequence, table_name, statement, reason FROM vx_dead_letter")
    dead = {row[0]: row[1:] for row in rows}
    assert sorted(dead) == [4, 11, 12, 26, 60]
    assert "'business'" in dead[4][2] and "Data too long" in dead[4][2]
    assert "Out of range" in dead[11][2]
    assert "\U0001f600" in dead[12][1]
    pair.run("history", f"ALTER TABLE `{dead[4][0]}` MODIFY business VARCHAR(31) NOT NULL", dead[4][1])
    pair.run("history", f"DELETE FROM `{dead[4][0]}` WHERE LENGTH(business) > 30")
    pair.run("history", f"ALTER TABLE `{dead[4][0]}` MODIFY business VARCHAR(30) NOT NULL")


def test_a_commit_whose_answer_was_lost_is_not_repeated(pair: Pair) -> None:
    batch = rows_only(0, 5)
    with_balance(batch, 2, business="b" * 31)
    # Whoever still believes in the position before the commit is where a lost answer leaves a writer.
    one, other = pair.open(epoch=1), pair.open(epoch=1)
    one.append(batch)
    other.append(batch)
    assert other.position == one.position
    letters = one.take_dead_letters()
    assert [letter.sequence for letter in letters] == [3]
    assert other.take_dead_letters() == letters
    one.close()
    other.close()
    assert sequences_in(pair) == ([1, 2, 3, 4, 5], [1, 2, 4, 5])
    assert pair.rows("history", "SELECT count(*) FROM vx_dead_letter") == [(1,)]


def test_a_key_that_is_there_already_is_told(pair: Pair) -> None:
    pair.run("log", "CREATE TABLE operlog_20231114 LIKE operlog_example")
    writer = pair.open()
    pair.run("log", "INSERT INTO operlog_20231114 VALUES (2, 1, 'another')")
    writer.append(rows_only(0, 4))
    (letter,) = writer.take_dead_letters()
    writer.close()
    assert (letter.table, letter.sequence) == ("operlog_20231114", 2)
    assert "Duplicate entry" in str(letter)


def test_hostile_texts_are_only_texts(pair: Pair) -> None:
    batch = rows_only(0, 3)
    texts = ["'; DROP TABLE x; --", "a\\", "%s %d\n\r\x1a\x00\"'"]
    for index, text in enumerate(texts):
        with_balance(batch, index, business=text, detail=text)
    writer = pair.open()
    writer.append(batch)
    writer.close()
    assert writer.take_dead_letters() == []
    found = [row for rows in pair.families()["balance_history"].values() for row in rows]
    assert sorted((row[3], row[6]) for row in found) == sorted((text, text) for text in texts)

"""A MarketPicture for a terminal: header, depth with bars, deals, candles. Draws, and knows no terminal.

    +------------------------------------------+
    | header: price, today, how it goes        |
    +--------------------+---------------------+
    | asks, worst on top |  deals              |
    | spread             |  newest on top      |
    | bids, best on top  |                     |
    +--------------------+---------------------+
    | candles of one minute                    |
    +------------------------------------------+

Prices and amounts of one table have the same number of decimals, so that points stand below points.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateways.cli.market_picture import DEALS, DEPTH, Candle, Level, MarketPicture

UP: Final = "green"
DOWN: Final = "red"
QUIET: Final = "bright_black"
BAR_WIDTH: Final = 14
CHART_HEIGHT: Final = 8
CANDLE_WIDTH: Final = 3

_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_BODY: Final = "┃"
_WICK: Final = "│"
_FLAT: Final = "━"
_HEADER_ROWS: Final = 4
_CHART_ROWS: Final = CHART_HEIGHT + 3
_FRAME_ROWS: Final = 3  # of a panel with a table: two borders and the names of the columns


def page(picture: MarketPicture) -> Group:
    """All of it, below one another as far as needed: for a file, or to be scrolled."""
    return Group(_header(picture), _middle(picture, DEPTH, DEALS), _chart(picture))


def screen(picture: MarketPicture, height: int) -> Layout:
    """As much as fits into `height` rows."""
    layout = Layout()
    middle = height - _HEADER_ROWS - _CHART_ROWS
    has_chart = middle >= _FRAME_ROWS + 3
    rows = (middle if has_chart else middle + _CHART_ROWS) - _FRAME_ROWS
    parts = [
        Layout(_header(picture), size=_HEADER_ROWS),
        Layout(_middle(picture, max(1, min(DEPTH, (rows - 1) // 2)), max(1, min(DEALS, rows)))),
    ]
    if has_chart:
        parts.append(Layout(_chart(picture), size=_CHART_ROWS))
    layout.split_column(*parts)
    return layout


def _header(picture: MarketPicture) -> Panel:
    today = picture.today
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{picture.market}  ", style="bold")
    if picture.price:
        text.append(f"{picture.price:f} ", style=f"bold {UP if picture.is_rising else DOWN}")
        text.append("▲" if picture.is_rising else "▼", style=UP if picture.is_rising else DOWN)
    else:
        text.append("never traded", style=QUIET)
    if today.open:
        change = (today.last - today.open) / today.open * 100
        text.append(f"  {change:+.2f} %", style=UP if change >= 0 else DOWN)
    text.append(
        f"\nhigh {today.high:f}  low {today.low:f}  24 h: {today.volume:f} for {today.deal:.2f}", QUIET
    )
    return Panel(text, subtitle=Text(picture.problem, style=DOWN) if picture.problem else None)


def _middle(picture: MarketPicture, levels: int, deals: int) -> Table:
    table = Table.grid(expand=True)
    table.add_column(ratio=5)
    table.add_column(ratio=4)
    table.add_row(
        Panel(_depth(picture.asks[:levels], picture.bids[:levels]), title="depth"),
        Panel(_deals(picture, deals), title="deals"),
    )
    return table


def _depth(asks: list[Level], bids: list[Level]) -> RenderableType:
    if not asks and not bids:
        return Text("the book is empty", style=QUIET)
    table = Table(box=None, expand=True, padding=(0, 1), header_style=QUIET)
    table.add_column("price", justify="right")
    table.add_column("amount", justify="right")
    table.add_column("", width=BAR_WIDTH)
    price_decimals = _decimals(price for price, _ in asks + bids)
    amount_decimals = _decimals(amount for _, amount in asks + bids)
    most = max(amount for _, amount in asks + bids)

    def add(level: Level, style: str) -> None:
        price, amount = level
        table.add_row(
            Text(f"{price:.{price_decimals}f}", style=style),
            f"{amount:.{amount_decimals}f}",
            Text(_bar(amount, most), style=style),
        )

    for level in reversed(asks):
        add(level, DOWN)
    if asks and bids:
        spread = asks[0][0] - bids[0][0]
        table.add_row(Text(f"{spread:.{price_decimals}f}", style=QUIET), Text("spread", style=QUIET), "")
    for level in bids:
        add(level, UP)
    return table


def _deals(picture: MarketPicture, rows: int) -> RenderableType:
    deals = picture.deals[:rows]
    if not deals:
        return Text("nothing was traded yet", style=QUIET)
    table = Table(box=None, expand=True, padding=(0, 1), header_style=QUIET)
    table.add_column("time", style=QUIET)
    table.add_column("price", justify="right")
    table.add_column("amount", justify="right")
    price_decimals = _decimals(deal.price for deal in deals)
    amount_decimals = _decimals(deal.amount for deal in deals)
    for deal in deals:
        table.add_row(
            time.strftime("%H:%M:%S", time.localtime(deal.time)),
            Text(f"{deal.price:.{price_decimals}f}", style=UP if deal.type == "buy" else DOWN),
            f"{deal.amount:.{amount_decimals}f}",
        )
    return table


def _chart(picture: MarketPicture) -> Panel:
    candles = picture.candles
    title = "candles of 1 minute"
    if not candles:
        return Panel(Text("no candles yet" + "\n" * CHART_HEIGHT, style=QUIET), title=title)
    top = max(candle.high for candle in candles)
    bottom = min(candle.low for candle in candles)
    decimals = _decimals((top, bottom))
    width = len(f"{top:.{decimals}f}")
    text = Text(no_wrap=True)
    for row in range(CHART_HEIGHT):
        price = top - (top - bottom) * row / (CHART_HEIGHT - 1)
        is_labelled = row in (0, CHART_HEIGHT - 1) or row == CHART_HEIGHT // 2
        text.append(f"{price:{width}.{decimals}f} " if is_labelled else " " * (width + 1), style=QUIET)
        for candle in candles:
            style = UP if candle.close >= candle.open else DOWN
            text.append(_cell(candle, row, top, bottom).center(CANDLE_WIDTH), style=style)
        text.append("\n")
    first, last = (time.strftime("%H:%M", time.localtime(candles[place].start)) for place in (0, -1))
    gap = max(1, len(candles) * CANDLE_WIDTH - len(first) - len(last))
    text.append(" " * (width + 1) + (first + " " * gap + last if len(candles) > 1 else first), style=QUIET)
    return Panel(text, title=title)


def _cell(candle: Candle, row: int, top: Decimal, bottom: Decimal) -> str:
    """What one row of a candle looks like; row 0 is the top."""

    def row_of(price: Decimal) -> int:
        return round((top - price) * (CHART_HEIGHT - 1) / (top - bottom)) if top > bottom else 0

    body = sorted((row_of(candle.open), row_of(candle.close)))
    if body[0] <= row <= body[1]:
        return _FLAT if candle.open == candle.close else _BODY
    return _WICK if row_of(candle.high) <= row <= row_of(candle.low) else " "


def _bar(amount: Decimal, most: Decimal) -> str:
    """A bar with a resolution of an eighth of a character; the largest amount fills it."""
    eighths = max(1, int(amount * BAR_WIDTH * 8 / most))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _decimals(numbers: Iterable[Decimal]) -> int:
    """The most decimals that any of them needs."""
    exponents = (number.normalize().as_tuple().exponent for number in numbers)
    return max((-exponent for exponent in exponents if isinstance(exponent, int)), default=0) or 0

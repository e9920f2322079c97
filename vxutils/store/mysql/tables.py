"""What the tables are: those of the C system's two databases, and our own beside them.

    log       operlog_example slice_history slice_balance_example slice_order_example
    history   <family>_example <family>_0 .. <family>_99 of five families
    both      vx_position vx_about vx_dead_letter, which the C system does not know

Day and slice tables are made `LIKE` their examples by whoever writes them. Nothing here talks to a server.

Source: protocol.md 4.2, 4.5.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["log", "history"]

SHARDS: Final = 100
EXAMPLE: Final = "example"

POSITION_TABLE: Final = "vx_position"
ABOUT_TABLE: Final = "vx_about"
DEAD_LETTER_TABLE: Final = "vx_dead_letter"


class Column(NamedTuple):
    """One column; `type` as in a CREATE TABLE."""

    name: str
    type: str
    more: str = "NOT NULL"


class Table(NamedTuple):
    """One table, or the example of many. The first column is the primary key; `indexes` by name."""

    columns: tuple[Column, ...]
    indexes: tuple[tuple[str, tuple[str, ...]], ...] = ()


def _columns(*texts: str) -> tuple[Column, ...]:
    """`name TYPE`, with ` AUTO` or ` NULL` behind it where that holds."""
    found: list[Column] = []
    for text in texts:
        name, _, kind = text.partition(" ")
        more = "NOT NULL"
        if kind.endswith(" AUTO"):
            kind, more = kind.removesuffix(" AUTO"), "NOT NULL AUTO_INCREMENT"
        elif kind.endswith(" NULL"):
            kind, more = kind.removesuffix(" NULL"), "DEFAULT NULL"
        found.append(Column(name, kind, more))
    return tuple(found)


_ORDER_HISTORY: Final = Table(
    _columns(
        "id BIGINT UNSIGNED",
        "create_time DOUBLE",
        "finish_time DOUBLE",
        "user_id INT UNSIGNED",
        "market VARCHAR(30)",
        "source VARCHAR(30)",
        "t TINYINT UNSIGNED",
        "side TINYINT UNSIGNED",
        "price DECIMAL(30,8)",
        "amount DECIMAL(30,8)",
        "taker_fee DECIMAL(30,4)",
        "maker_fee DECIMAL(30,4)",
        "deal_stock DECIMAL(30,8)",
        "deal_money DECIMAL(30,16)",
        "deal_fee DECIMAL(30,16)",
    ),
    (("idx_user_market", ("user_id", "market")),),
)
_DEAL_AMOUNTS: Final = (
    "price DECIMAL(30,8)",
    "amount DECIMAL(30,8)",
    "deal DECIMAL(30,16)",
    "fee DECIMAL(30,16)",
    "deal_fee DECIMAL(30,16)",
)

LOG_TABLES: Final = {
    "operlog_example": Table(_columns("id BIGINT UNSIGNED", "time DOUBLE", "detail TEXT NULL")),
    "slice_history": Table(
        _columns(
            "id INT UNSIGNED AUTO",
            "time BIGINT",
            "end_oper_id BIGINT UNSIGNED",
            "end_order_id BIGINT UNSIGNED",
            "end_deals_id BIGINT UNSIGNED",
        )
    ),
    "slice_balance_example": Table(
        _columns(
            "id INT UNSIGNED AUTO",
            "user_id INT UNSIGNED",
            "asset VARCHAR(30)",
            "t TINYINT UNSIGNED",
            "balance DECIMAL(30,16)",
        )
    ),
    "slice_order_example": Table(
        _columns(
            "id BIGINT UNSIGNED",
            "t TINYINT UNSIGNED",
            "side TINYINT UNSIGNED",
            "create_time DOUBLE",
            "update_time DOUBLE",
            "user_id INT UNSIGNED",
            "market VARCHAR(30)",
            "price DECIMAL(30,8)",
            "amount DECIMAL(30,8)",
            "taker_fee DECIMAL(30,4)",
            "maker_fee DECIMAL(30,4)",
            "left DECIMAL(30,8)",
            "freeze DECIMAL(30,8)",
            "deal_stock DECIMAL(30,8)",
            "deal_money DECIMAL(30,16)",
            "deal_fee DECIMAL(30,12)",
        )
    ),
}

FAMILIES: Final = {
    "balance_history": Table(
        _columns(
            "id BIGINT UNSIGNED AUTO",
            "time DOUBLE",
            "user_id INT UNSIGNED",
            "asset VARCHAR(30)",
            "business VARCHAR(30)",
            "change DECIMAL(30,8)",
            "balance DECIMAL(30,16)",
            "detail TEXT",
        ),
        (
            ("idx_user_asset", ("user_id", "asset")),
            ("idx_user_asset_business", ("user_id", "asset", "business")),
        ),
    ),
    "order_history": _ORDER_HISTORY,
    "order_detail": _ORDER_HISTORY,
    "deal_history": Table(
        _columns(
            "id BIGINT UNSIGNED AUTO",
            "time DOUBLE",
            "user_id INT UNSIGNED",
            "deal_id BIGINT UNSIGNED",
            "order_id BIGINT UNSIGNED",
            "deal_order_id BIGINT UNSIGNED",
            "role TINYINT UNSIGNED",
            *_DEAL_AMOUNTS,
        ),
        (("idx_order_id", ("order_id",)),),
    ),
    "user_deal_history": Table(
        _columns(
            "id BIGINT UNSIGNED AUTO",
            "time DOUBLE",
            "user_id INT UNSIGNED",
            "market VARCHAR(30)",
            "deal_id BIGINT UNSIGNED",
            "order_id BIGINT UNSIGNED",
            "deal_order_id BIGINT UNSIGNED",
            "side TINYINT UNSIGNED",
            "role TINYINT UNSIGNED",
            *_DEAL_AMOUNTS,
        ),
        (("idx_user_market", ("user_id", "market")),),
    ),
}

OWN_TABLES: Final = {
    POSITION_TABLE: Table(
        _columns(
            "name VARCHAR(30)",
            "system_id VARCHAR(64)",
            "epoch BIGINT UNSIGNED",
            "sequence BIGINT UNSIGNED",
            "digest VARCHAR(64)",
            "time_us BIGINT",
        )
    ),
    ABOUT_TABLE: Table(_columns("name VARCHAR(30)", "value VARCHAR(255)")),
    DEAD_LETTER_TABLE: Table(
        _columns(
            "id BIGINT UNSIGNED AUTO",
            "sequence BIGINT UNSIGNED",
            "time_us BIGINT",
            "table_name VARCHAR(64)",
            "statement LONGTEXT",
            "reason TEXT",
        )
    ),
}


def tables_of(kind: Kind) -> dict[str, Table]:
    """Every table of the C system that a database of this kind has from the beginning."""
    if kind == "log":
        return dict(LOG_TABLES)
    return {
        f"{family}_{suffix}": table
        for family, table in FAMILIES.items()
        for suffix in (EXAMPLE, *range(SHARDS))
    }


def statement_of(name: str, table: Table, charset: str) -> str:
    """The CREATE TABLE of one table."""
    parts = [f"`{column.name}` {column.type} {column.more}" for column in table.columns]
    parts.append(f"PRIMARY KEY (`{table.columns[0].name}`)")
    for index, columns in table.indexes:
        parts.append(f"KEY `{index}` ({', '.join(f'`{column}`' for column in columns)})")
    return f"CREATE TABLE IF NOT EXISTS `{name}` ({', '.join(parts)}) ENGINE=InnoDB DEFAULT CHARSET={charset}"

"""What the analyses do with their tables: rows by value, by seed and between languages, and one row a group."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from analyses._models import LABELS


def where(table: pd.DataFrame, **values: Any) -> pd.DataFrame:
    """The rows in which columns have these values."""
    for column, value in values.items():
        table = table[table[column] == value]
    return table


def lowest_seed(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of each regime's lowest seed."""
    return table[table["seed"] == table.groupby("regime")["seed"].transform("min")]


def cross(table: pd.DataFrame) -> pd.DataFrame:
    """The rows between two languages."""
    return table[table["source"] != table["target"]]


def summary(
    table: pd.DataFrame,
    by: Sequence[str],
    row: Callable[[pd.DataFrame], Mapping[str, Any]],
    labels: Mapping[str, str] = LABELS,
) -> pd.DataFrame:
    """One row a group, in the order of the table: its keys, regimes by their labels, and what `row` says of its rows."""
    groups = table.groupby(list(by), sort=False)
    found: list[dict[Any, Any]] = [{**dict(zip(by, keys, strict=True)), **row(group)} for keys, group in groups]
    return pd.DataFrame([row | {"regime": labels.get(row["regime"], row["regime"])} for row in found])


def leading(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The table with these columns in front."""
    return table[[*columns, *(column for column in table if column not in columns)]]

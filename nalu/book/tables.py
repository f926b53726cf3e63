"""Results that took longer to make than a chapter may, as tables. `make paper` makes them anew."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).with_name("results")

DIGITS = ".6g"
"""Of the numbers that are stored."""


def stored(name: str) -> pd.DataFrame:
    """A table of `nalu/book/results`: "single_module", of all units, or "language", of chapter 6.

    Raises:
        FileNotFoundError: there is none of this name.
    """
    path = FOLDER / f"{name}.csv"
    if not path.is_file():
        raise FileNotFoundError(f"expected the stored results at {path}, got no file; `make paper` makes them")
    return pd.read_csv(path, comment="#")


def agreeing(
    table: pd.DataFrame, stored: pd.DataFrame, *, on: Sequence[str], columns: Sequence[str]
) -> "pd.Series[bool]":
    """Which rows of a table are in a stored one, too, with the same digits as far as they are stored.

    Args:
        on: the columns by which a row is found.
        columns: of numbers or truth values, which are compared.

    Raises:
        ValueError: a row is not in the stored table, or several times.
    """
    found = table[list(on)].merge(stored, on=list(on), how="left", validate="one_to_one", indicator="where")
    if (found["where"] != "both").any():
        missing = found.loc[found["where"] != "both", list(on)].iloc[0].to_dict()
        raise ValueError(f"expected rows that are stored, got {missing}")
    here, there = (of[list(columns)].map(lambda number: format(float(number), DIGITS)) for of in (table, found))
    return pd.Series((here.to_numpy() == there.to_numpy()).all(1), index=table.index)

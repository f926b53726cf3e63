"""Stored tables, and whether what is trained again has the digits that are stored."""

import pandas as pd
import pytest

from nalu.book.tables import agreeing, stored

STORED = pd.DataFrame({"seed": [2, 0, 1], "error": [0.333333, 1.0, float("nan")], "right": [True, False, True]})
HERE = pd.DataFrame(
    {"seed": [0, 1, 2], "error": [1.0, float("nan"), 1 / 3], "right": [False, True, True]}, index=[7, 8, 9]
)


def same(table: pd.DataFrame) -> list[bool]:
    return agreeing(table, STORED, on=["seed"], columns=["error", "right"]).tolist()


def test_rows_are_found_by_their_names_and_compared_as_far_as_they_are_stored() -> None:
    assert same(HERE) == [True, True, True] and same(HERE[1:]) == [True, True]
    assert same(HERE.assign(error=[1.0, float("nan"), 0.333334])) == [True, True, False]
    assert same(HERE.assign(error=[1.0, 0.5, 1 / 3], right=[True, True, True])) == [False, False, True]
    found = agreeing(HERE, STORED, on=["seed"], columns=["right"])
    assert found.index.tolist() == [7, 8, 9]


def test_a_row_that_is_not_stored() -> None:
    with pytest.raises(ValueError, match=r"expected rows that are stored, got {'seed': 5}"):
        same(HERE.assign(seed=[0, 5, 2]))
    with pytest.raises(ValueError, match="not a one-to-one merge"):
        same(HERE.assign(seed=[0, 0, 2]))


@pytest.mark.parametrize("name", ["single_module", "language"])
def test_a_stored_table_agrees_with_itself(name: str) -> None:
    table = stored(name)
    on = ["unit", "operation", "range", "seed"] if name == "single_module" else list(table.columns[[0, 1, 6, 7, 8, 9]])
    numbers = [column for column in table if table[column].dtype == float]
    assert numbers and agreeing(table, table, on=on, columns=numbers).all()

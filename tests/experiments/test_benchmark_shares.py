"""What is told of a benchmark: rates and intervals, beside the units of the book, and a figure."""

import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from nalu import Benchmark
from nalu.book import tables
from nalu.book.tables import stored

NAN, INF = math.nan, math.inf


def outcomes(unit: str, operation: str, **successes: str) -> pd.DataFrame:
    """A table with the seeds' successes on ranges of these names, as 1 or 0."""
    rows = [
        {"unit": unit, "operation": operation, "range": name, "seed": seed, "success": each == "1"}
        for name, row in successes.items()
        for seed, each in enumerate(row)
    ]
    return pd.DataFrame(rows)


def of(*tables: pd.DataFrame) -> Benchmark:
    return Benchmark(pd.concat(tables, ignore_index=True), {}, 0.0, 0)


def wilson(k: int, n: int) -> tuple[float, float]:
    z = 1.959963984540054
    middle, half = k + z * z / 2, z * math.sqrt(k * (n - k) / n + z * z / 4)
    return (middle - half) / (n + z * z), (middle + half) / (n + z * z)


def test_rates_have_wilsons_interval() -> None:
    found = of(outcomes("Own", "a - b", wide="1101", narrow="00"), outcomes("Own", "a + b", wide="111")).rates()
    assert list(found.columns) == ["rate", "low", "high", "seeds"]
    assert found.index.names == ["unit", "operation", "range"]
    expected = {("a - b", "wide"): (3, 4), ("a - b", "narrow"): (0, 2), ("a + b", "wide"): (3, 3)}
    assert found.index.tolist() == [("Own", *key) for key in expected]
    for row, (k, n) in zip(found.itertuples(index=False), expected.values(), strict=True):
        assert row == pytest.approx((k / n, *wilson(k, n), n), abs=1e-12)


def test_intervals_of_success_and_of_the_runs_that_succeed() -> None:
    table = of(outcomes("Own", "a - b", wide="1101", narrow="00"), outcomes("Own", "a + b", wide="11")).table
    table["solved_at"] = np.where(table.success, 12_000, 3_000)
    table["sparsity"] = np.where(table.success, 1e-5, 0.4)
    table.loc[table.operation == "a + b", "sparsity"] = NAN
    found = Benchmark(table, {}, 0.0, 0).intervals()
    assert found.index.names == ["unit", "operation", "range"]
    at, near = "12,000 [12,000, 12,000]", "1.0e-05 [1.0e-05, 1.0e-05]"
    expected = {
        ("a - b", "wide"): (3, 4, at, near),
        ("a - b", "narrow"): (0, 2, "–", "–"),
        ("a + b", "wide"): (2, 2, at, "–"),
    }
    assert found.index.tolist() == [("Own", *key) for key in expected]
    assert list(found.columns) == ["success", "solved at", "sparsity error"]
    for row, (k, n, *texts) in zip(found.itertuples(index=False), expected.values(), strict=True):
        low, high = wilson(k, n)
        assert list(row) == [f"{k / n:.2f} [{low:.2f}, {high:.2f}]", *texts]


OURS = of(outcomes("Own", "a - b", wide="10", narrow="00"), outcomes("Own", "a + b", wide="11", narrow="10"))

OTHERS = pd.concat(
    [
        outcomes("NAC", "a - b", narrow="0000", wide="0000"),
        outcomes("NAU", "a - b", narrow="11", wide="1110"),
        outcomes("NAU", "a + b", narrow="11", wide="00"),
        outcomes("NAU", "a * b", narrow="11", wide="11"),
        outcomes("Own", "a - b", narrow="11", wide="10"),
        outcomes("Own", "a * b", narrow="11", wide="11"),
    ]
).assign(solved_at=0)

BESIDE = {
    ("a + b", "Own, this run"): [1.0, 0.5, 0.75],
    ("a + b", "NAU"): [0.0, 1.0, 0.5],
    ("a - b", "NAU"): [0.75, 1.0, 0.875],
    ("a - b", "Own"): [0.5, 1.0, 0.75],
    ("a - b", "Own, this run"): [0.5, 0.0, 0.25],
    ("a - b", "NAC"): [0.0, 0.0, 0.0],
}


def assert_beside(grid: pd.DataFrame, expected: dict[tuple[str, str], list[float]] = BESIDE) -> None:
    assert grid.index.names == ["operation", "unit"] and list(grid.columns) == ["wide", "narrow", "all"]
    assert grid.index.tolist() == list(expected)
    np.testing.assert_allclose(grid, list(expected.values()))


def test_beside_others_on_the_same_operations_only() -> None:
    before = OTHERS.copy()
    assert_beside(OURS.beside(OTHERS))
    assert_frame_equal(OTHERS, before)


def test_a_name_of_its_own_is_not_marked() -> None:
    expected = {
        (operation, unit.removesuffix(", this run")): row for (operation, unit), row in BESIDE.items() if unit != "Own"
    }
    assert_beside(OURS.beside(OTHERS[OTHERS.unit != "Own"]), expected)


def test_beside_the_units_of_the_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "single_module.csv"
    monkeypatch.setattr(tables, "FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match=f"expected the stored results at {path}, got no file; `make paper`"):
        OURS.beside()
    path.write_text("# made by hand\n" + OTHERS.to_csv(index=False), encoding="utf-8")
    assert_frame_equal(stored("single_module"), OTHERS.reset_index(drop=True))
    assert_beside(OURS.beside())


def test_a_figure_has_a_panel_for_each_operation() -> None:
    figure = OURS.figure(OTHERS)
    assert [axes.get_title("left") for axes in figure.axes] == ["a + b", "a - b"]
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["Own, this run", "NAU"]
    plt.close(figure)

"""A reader's own unit in the benchmark: any module with two sizes."""

import torch
from helpers.single_module import FAST, LEAST, Own
from pandas.testing import assert_frame_equal
from torch import nn

import nalu
from nalu import NAU
from nalu.experiments.benchmarking import benchmark


def test_the_benchmark_is_public() -> None:
    assert nalu.benchmark is benchmark and {"Benchmark", "benchmark"} <= set(nalu.__all__)


def test_a_unit_that_draws_from_torchs_own_generator() -> None:
    tables = []
    for seed in (1, 2):
        before = torch.manual_seed(seed).get_state()
        tables.append(benchmark(Own, "a + b", seeds=[4, 0], steps=2, workers=1).table)
        assert torch.equal(torch.get_rng_state(), before)
    assert_frame_equal(*tables, check_exact=True)
    table = tables[0]
    assert set(table.unit) == {"Own"} and table.groupby("range").interpolation.nunique().eq(2).all()


def test_a_module_of_torch() -> None:
    table = benchmark(nn.Linear, "a + b", recipe=FAST, **{**LEAST, "steps": 300}).table
    assert set(table.unit) == {"Linear"} and table.sparsity.isna().all() and table.interpolation.lt(1).all()


def test_a_unit_that_takes_any_keyword_is_given_none() -> None:
    class Wrapped(NAU):
        def __init__(self, *sizes: int, **others: object) -> None:
            super().__init__(*sizes)  # draws the same from torch's own generator, which has the same seed
            assert not others

    table = benchmark(Wrapped, "a + b", **LEAST).table
    expected = benchmark(NAU, "a + b", **LEAST).table.assign(unit="Wrapped")
    assert_frame_equal(table, expected, check_exact=True)


def test_its_operations_unless_others_are_asked_for() -> None:
    assert benchmark(Own, **LEAST).table.operation.tolist() == ["a - b"] * 9 + ["a + b"] * 9
    assert benchmark(Own, iter(["a * b"]), **LEAST).table.operation.tolist() == ["a * b"] * 9

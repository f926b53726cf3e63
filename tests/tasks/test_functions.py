"""Simple functions of two sums, of a vector or over time: what is drawn, from which range, and the target."""

import math

import pytest
import torch
from helpers.functions import EXPECTED
from helpers.seeds import seeded

from nalu.tasks import RecurrentFunction, StaticFunction
from nalu.tasks.functions import FUNCTIONS


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_target_is_the_function_of_the_sums_over_the_sections(function: str) -> None:
    static = StaticFunction(function, size=12, sections=((1, 4), (6, 12)), batch=3)
    x, y = static.draw(seeded(0), 2)
    assert x.shape == (2, 3, 12) and y.shape == (2, 3, 1)
    for row, found in zip(x.flatten(0, 1).tolist(), y.flatten().tolist(), strict=True):
        assert found == pytest.approx(EXPECTED[function](sum(row[1:4]), sum(row[6:12])), rel=1e-5)
    recurrent = RecurrentFunction(function, size=5, length=4, sections=((0, 2), (3, 5)), batch=3)
    x, y = recurrent.draw(seeded(0), 2)
    assert x.shape == (2, 3, 4, 5) and y.shape == (2, 3, 1)
    for times, found in zip(x.flatten(0, 1).tolist(), y.flatten().tolist(), strict=True):
        a, b = sum(sum(row[:2]) for row in times), sum(sum(row[3:]) for row in times)
        assert found == pytest.approx(EXPECTED[function](a, b), rel=1e-5)
    assert EXPECTED.keys() == FUNCTIONS.keys()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_given_the_sums_instead_of_the_vector_the_same_points(function: str) -> None:
    wide, given = StaticFunction(function), StaticFunction(function, given=True)
    assert wide.in_features == 100 and given.in_features == 2 and wide.shared and not given.shared
    x, y = wide.draw(seeded(3), 2)
    ab, same = given.draw(seeded(3), 2)
    torch.testing.assert_close(ab, torch.stack([x[..., :10].sum(-1), x[..., 60:].sum(-1)], -1))
    torch.testing.assert_close(y, same)


def test_inputs_are_uniform() -> None:
    x, _ = StaticFunction("a + b", low=1.0, high=3.0).training()
    assert x.shape == (10_000, 100) and 1 <= x.min() < 1.001 and 2.999 < x.max() <= 3
    # Standard errors of a mean and a variance over a million numbers: 6e-4 and 3e-4. Allow five.
    assert abs(x.mean() - 2) < 3e-3 and abs(x.var() - 4 / 12) < 2e-3
    x, _ = RecurrentFunction("a + b", low=-1.0, high=1.0).training()
    assert x.shape == (10_000, 10, 10) and -1 <= x.min() < -0.999 and 0.999 < x.max() <= 1
    assert abs(x.mean()) < 3e-3 and abs(x.var() - 1 / 3) < 2e-3


def test_batches_take_each_point_of_the_training_set_equally_often() -> None:
    task = StaticFunction("a + b", points=50, given=True)
    known = {tuple(row): 0 for row in task.training()[0].tolist()}
    assert len(known) == 50
    for row in task.draw(seeded(0), 1000)[0].flatten(0, 1).tolist():
        known[tuple(row)] += 1
    assert all(abs(n - 1280) < 5 * 1280**0.5 for n in known.values())


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("low, high", [(0.0, 0.5), (1.0, 2.0)])
def test_interpolation_never_leaves_the_training_maximum_and_extrapolation_always_does(
    function: str, low: float, high: float
) -> None:
    task = StaticFunction(function, low, high, given=True)
    x, y = task.training()
    largest = torch.cat([x, y], -1).amax(0)
    assert torch.equal(task.limits(), largest)
    for seed in range(3):
        inside = torch.cat(task.interpolation(1000, seed), -1)
        outside = torch.cat(task.extrapolation(1000, seed), -1)
        assert inside.shape == outside.shape == (1000, 3)
        assert (inside <= largest).all() and (outside > largest).any(-1).all()
        assert not torch.isin(inside[:, 0], x[:, 0]).all()  # new points, not those of the training set


def test_extrapolation_reaches_as_far_as_it_is_told() -> None:
    task = StaticFunction("a + b")
    for factor in (1.5, 3.0, 10.0):
        x, _ = task.extrapolation(500, factor=factor)
        assert 0.99 * factor * 0.5 < x.max() <= factor * 0.5
    with pytest.raises(ValueError, match=r"expected points beyond the training set in \[0.0, 0.5\], got \d+ of 500"):
        task.extrapolation(500, factor=1.0)
    with pytest.raises(ValueError, match="factor: expected a positive"):
        task.extrapolation(factor=-1.0)


def test_sequences_of_any_length() -> None:
    task = RecurrentFunction("a + b")
    for length in (1, 10, 300):
        x, y = task.test(length, points=40)
        assert x.shape == (40, length, 10) and y.shape == (40, 1)
        assert abs(y.mean() / length - 4) < 1
    assert torch.equal(task.test(10)[0], task.test(10)[0]) and not torch.equal(
        task.test(10)[0], task.test(10, seed=2)[0]
    )
    assert not torch.isin(task.test(10)[0][:, 0, 0], task.training()[0][:, 0, 0]).all()


@pytest.mark.parametrize("make", [StaticFunction, RecurrentFunction])
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"function": "a % b"}, ValueError, "unknown function 'a % b': expected one of a \\+ b, a - b"),
        ({"low": 1.0, "high": 1.0}, ValueError, "expected a range with low < high, both finite, got 1.0 to 1.0"),
        ({"low": 2.0, "high": 1.0}, ValueError, "expected a range with low < high, both finite, got 2.0 to 1.0"),
        ({"high": math.inf}, ValueError, "both finite, got 0.0 to inf"),
        ({"high": math.nan}, ValueError, "both finite, got 0.0 to nan"),
        ({"low": "a"}, TypeError, "the range of the inputs: expected numbers, got 'a'"),
        ({"sections": ((0, 3), (8, 21)), "size": 20}, ValueError, "section within the 20 inputs, .* got 8 to 21"),
        ({"sections": ((-1, 3), (3, 5))}, ValueError, "section within .* got -1 to 3"),
        ({"sections": ((2, 2), (3, 5))}, ValueError, "section within .* got 2 to 2"),
        ({"sections": ((0.0, 2), (3, 5))}, TypeError, "section: expected whole numbers"),
        ({"function": "a / b", "low": -1.0}, ValueError, "a / b: expected a range of divisors without zero"),
        ({"function": "a / b", "sections": ((0, 3), (4, 5))}, ValueError, "a / b: expected a range of divisors"),
        ({"function": "sqrt(a)", "low": -1.0}, ValueError, "without negative numbers"),
        ({"batch": 0}, ValueError, "batch: expected at least 1, got 0"),
        ({"points": 1.5}, TypeError, "points: expected a whole number"),
        ({"size": 0}, ValueError, "size of the input: expected at least 1"),
        ({"seed": -1}, ValueError, "seed: expected at least 0"),
    ],
)  # fmt: skip
def test_bad_settings(make: type, settings: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(**{"function": "a + b", **settings})


def test_bad_lengths() -> None:
    with pytest.raises(ValueError, match="length: expected at least 1, got 0"):
        RecurrentFunction("a + b", length=0)
    with pytest.raises(ValueError, match="length: expected at least 1, got 0"):
        RecurrentFunction("a + b").test(0)

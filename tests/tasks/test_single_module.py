"""One operation of two numbers: the published ranges, targets and thresholds."""

import itertools
import math

import pytest
import torch
from helpers.functions import EXPECTED
from helpers.seeds import seeded
from helpers.single_module import BEYOND

from nalu.tasks import Scaled, SingleModule, Task
from nalu.tasks.single_module import OPERATIONS, ranges

THRESHOLDS = {
    "a + b": [3.66e-5, 6.67e-7, 5.73e-7, 5.37e-8, 6.67e-7, 5.38e-8, 6.67e-7, 5.56e-7, 3.67e-5],
    "a - b": [3.66e-5, 6.67e-7, 5.73e-7, 5.37e-8, 6.67e-7, 5.38e-8, 6.67e-7, 5.56e-7, 3.67e-5],
    "a * b": [3.48e-2, 1.20e-5, 9.38e-6, 8.78e-8, 1.20e-5, 8.79e-8, 1.20e-5, 8.87e-6, 3.49e-2],
    "a / b": [4.67e-8, 5.78e-8, 8.36e-8, 1.48e-7, 5.77e-8, 1.48e-7, 5.78e-8, 8.28e-8, 4.66e-8],
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_thresholds_of_a_nearly_perfect_solution(operation: str) -> None:
    tasks = ranges(operation)
    assert list(tasks) == list(BEYOND)
    found = [task.threshold() for task in tasks.values()]
    assert found == pytest.approx(THRESHOLDS[operation], rel=0.03)
    assert tasks["[1, 2]"].threshold(1e-5) == pytest.approx(0.01 * tasks["[1, 2]"].threshold(), rel=1e-3)


def test_points_come_from_the_published_ranges() -> None:
    for (name, halves), task in zip(BEYOND.items(), ranges("a + b").values(), strict=True):
        assert name == f"[{task.low:g}, {task.high:g}]"
        for kind, within in {"interpolation": [(task.low, task.high)], "extrapolation": halves}.items():
            x, _ = task.tests()[kind]
            assert x.shape == (10_000, 2) and torch.equal(x, task.tests()[kind][0])
            count = 0
            for low, high in (torch.tensor(q, dtype=torch.float32).T for q in itertools.product(within, repeat=2)):
                inside = (x - low) / (high - low)
                inside = inside[((inside >= -1e-5) & (inside <= 1 + 1e-5)).all(1)]
                count += len(inside)
                assert len(inside) == pytest.approx(10_000 / len(within) ** 2, rel=0.1)
                assert (inside.amin(0) < 0.01).all() and (inside.amax(0) > 0.99).all()
                assert ((inside.mean(0) - 0.5).abs() < 0.03).all()  # five standard errors
            assert count == 10_000


@pytest.mark.parametrize("operation", OPERATIONS)
def test_targets_are_the_operation_of_the_two_numbers(operation: str) -> None:
    for task in ranges(operation).values():
        for x, y in task.tests(20).values():
            assert y.shape == (20, 1)
            assert y[:, 0].tolist() == pytest.approx([EXPECTED[operation](a, b) for a, b in x.tolist()], 1e-4, 1e-5)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_training_draws_the_same_noise_for_all_ranges(operation: str) -> None:
    noise = torch.rand(3, 5, 2, generator=seeded())
    for task in ranges(operation, batch=5).values():
        assert isinstance(task, Task) and isinstance(task, Scaled) and task.fresh and not task.shared
        x, y = task.draw(seeded(), 3)
        torch.testing.assert_close(x, task.low + (task.high - task.low) * noise, rtol=1e-5, atol=1e-5)
        expected = [EXPECTED[operation](a, b) for a, b in x.flatten(0, 1).tolist()]
        assert y.flatten().tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("operation", ["a * b", "a / b"])
def test_no_input_is_exactly_zero(operation: str) -> None:
    steps, task = 4, SingleModule(operation, -2, 2, batch=2**20)
    drawn = ((seed, torch.rand(steps, 2**20, 2, generator=seeded(seed))) for seed in range(40))
    seed, u = next((seed, u) for seed, u in drawn if (u == 0.5).any())  # the middle of the range
    x, y = task.draw(seeded(seed), steps)
    assert torch.equal(x[u != 0.5], -2 + 4 * u[u != 0.5]) and x[u == 0.5].abs().max() < 1e-6
    assert (x != 0).all() and y.isfinite().all()
    for step in u:  # as the engine scales it
        x, y = task.examples(step, *(torch.tensor(end) for end in task.scales))
        assert (x != 0).all() and y.isfinite().all()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_range_of_a_readers_own(operation: str) -> None:
    task = SingleModule(operation, 3, 4, beyond=((4, 5),), batch=7)
    assert task.draw(seeded(), 2)[0].shape == (2, 7, 2)
    x, y = task.tests(50)["extrapolation"]
    assert x.shape == (50, 2) and x.min() >= 4 and x.max() <= 5
    assert y[0].item() == pytest.approx(EXPECTED[operation](*x[0].tolist()), rel=1e-5)
    assert 0 < task.threshold() < 1e-4


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"operation": "a ^ 2"}, ValueError, r"unknown operation 'a \^ 2': expected one of a \+ b, a - b, a \* b"),
        ({"low": 2, "high": 1}, ValueError, "the range of the inputs: expected a range with low < high, .* got 2 to 1"),
        ({"high": math.inf}, ValueError, "the range of the inputs: .* both finite, got 1 to inf"),
        ({"low": "1"}, TypeError, "the range of the inputs: expected numbers, got '1' to 2"),
        ({"batch": 0}, ValueError, "batch: expected at least 1, got 0"),
        ({"low": 0}, ValueError, r"beyond: expected a range of extrapolation for \[0, 2\], .* got none"),
        ({"beyond": ((3, 2),)}, ValueError, "the range of extrapolation: expected .* low < high, .* got 3 to 2"),
        *(
            ({"operation": "a / b", "low": low, "high": high, "beyond": ((5, 6),)}, ValueError,
             rf"a / b: expected a range of divisors without zero, got \[{low}, {high}\]")
            for low, high in [(-2, 1), (0, 2), (-2, 0)]
        ),
        ({"beyond": (4, 5)}, TypeError, r"beyond: expected pairs of numbers, such as \(\(2, 6\),\), got \(4, 5\)"),
        ({"operation": "a / b", "beyond": ((2, 3), (-1, 1))}, ValueError, r"divisors without zero, got \[-1, 1\]"),
    ],
)  # fmt: skip
def test_bad_tasks(settings: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SingleModule(**{"operation": "a + b", "low": 1, "high": 2, **settings})

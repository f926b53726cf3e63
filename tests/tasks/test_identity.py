"""The identity: all integers of a range, or real numbers from it."""

from collections.abc import Callable

import pytest
import torch
from helpers.seeds import seeded

from nalu.tasks import Identity
from nalu.tasks.identity import integers


@pytest.mark.parametrize("make", [integers, Identity])
@pytest.mark.parametrize(
    ("low", "high", "error", "message"),
    [
        (3, 2, ValueError, r"expected a range with low <= high, got 3\.\.2, which is empty"),
        (0.5, 2, TypeError, r"expected whole numbers, got 0\.5\.\.2"),
        (0, float("nan"), TypeError, r"expected whole numbers, got 0\.\.nan"),
        ("a", "b", TypeError, r"expected whole numbers, got 'a'\.\.'b'"),
    ],
)
def test_bad_ranges(make: Callable, low: object, high: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(low, high)


def test_identity_draws_what_it_says() -> None:
    x, y = Identity(-2, 1).draw(seeded(), 3)
    assert torch.equal(x, torch.tensor([-2.0, -1, 0, 1]).reshape(1, 4, 1).expand(3, 4, 1)) and torch.equal(x, y)
    assert torch.equal(integers(7, 7), torch.tensor([[7.0]]))
    task = Identity(-2, 1, reals=500)
    x, y = task.draw(seeded(), 3)
    assert task.fresh and x.shape == (3, 500, 1) and torch.equal(x, y)
    assert -2 <= x.min() < -1.9 and 0.9 < x.max() <= 1
    assert torch.equal(x, task.draw(seeded(), 3)[0]) and not torch.equal(x[0], x[1])
    with pytest.raises(ValueError, match="reals: expected at least 1, got 0"):
        Identity(reals=0)

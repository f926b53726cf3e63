"""Errors of each replica."""

import math

import pytest
import torch

from nalu import mean_absolute_error

INF, NAN = math.inf, math.nan


def test_mean_absolute_error() -> None:
    outputs = torch.tensor([[[1.0], [2.0]], [[0.0], [NAN]], [[INF], [0.0]]])
    found = mean_absolute_error(outputs, torch.tensor([[0.0], [4.0]]))
    torch.testing.assert_close(found, torch.tensor([1.5, NAN, INF]), equal_nan=True)


@pytest.mark.parametrize("shape", [(4,), (1, 4), (3, 1), (2, 4, 1), ()])
def test_mean_absolute_error_does_not_broadcast(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"got \(2, 4, 1\)"):
        mean_absolute_error(torch.zeros(2, 4, 1), torch.zeros(shape))

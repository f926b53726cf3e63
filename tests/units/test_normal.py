"""Normal numbers that start a network: their distribution, and the same ones on every processor."""

import hashlib
import os
import subprocess
import sys

import pytest
import torch
from scipy import stats

from nalu.units import normal

PRINTED = """
import hashlib, torch
from nalu.units import normal
numbers = normal.drawn(7, 33, mean=0.5, deviation=0.2, generator=torch.Generator().manual_seed(3))
print(torch.backends.cpu.get_cpu_capability(), hashlib.sha256(numbers.numpy().tobytes()).hexdigest())
"""


def test_their_distribution() -> None:
    numbers = normal.drawn(100, 100, mean=0.5, deviation=0.2, generator=torch.Generator().manual_seed(0))
    assert numbers.shape == (100, 100)
    assert stats.kstest(numbers.flatten().numpy(), "norm", args=(0.5, 0.2)).pvalue > 0.01


@pytest.mark.parametrize("shape", [(), (1,), (15,), (16,), (3, 7)])
def test_any_shape_from_the_generator_alone(shape: tuple[int, ...]) -> None:
    first, second, other = (normal.drawn(*shape, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.shape == shape and torch.equal(first, second) and not torch.equal(first, other)


def test_they_are_the_same_whatever_the_processor_can_do() -> None:
    numbers = normal.drawn(7, 33, mean=0.5, deviation=0.2, generator=torch.Generator().manual_seed(3))
    expected = hashlib.sha256(numbers.numpy().tobytes()).hexdigest()
    command, environment = [sys.executable, "-c", PRINTED], {**os.environ, "ATEN_CPU_CAPABILITY": "default"}
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.split() == ["DEFAULT", expected]

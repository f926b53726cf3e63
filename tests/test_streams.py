"""Streams of random numbers do not meet."""

import torch

from nalu.streams import stream


def numbers(generator: torch.Generator) -> tuple[float, ...]:
    return tuple(torch.rand(4, generator=generator).tolist())


def test_a_key_is_a_stream_and_another_key_another() -> None:
    keys = [(1, seed) for seed in range(300)] + [(2, seed) for seed in range(300)] + [(2,), (2, 0, 1), (1, 2**32 + 5)]
    drawn = [numbers(stream(*key)) for key in keys]
    assert drawn == [numbers(stream(*key)) for key in keys]
    plain = [numbers(torch.Generator().manual_seed(seed)) for seed in range(300)]  # of initial parameters
    assert len({*drawn, *plain}) == len(drawn) + len(plain)

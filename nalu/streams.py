"""Random streams that are strangers to each other."""

import numpy as np
import torch

DATA, SHARED_DATA, RESTARTS = 1, 2, 5
"""The streams of a replica's own data, with its seed; of data that all share; and of new starts, with a replica's seed
and how many it has had: all apart from any initialisation."""


def stream(*key: int) -> torch.Generator:
    """A generator for a key of whole numbers >= 0, such as what it is for and a replica's seed.

    PyTorch's generator on the CPU looks at the low 32 bits of a seed only: the seeds s and 2**32 + s are one stream. So
    the key is hashed, with numpy's SeedSequence. Its length goes in too, for to numpy (2,) and (2, 0) are the same.
    """
    return torch.Generator().manual_seed(seed_of(*key))


def seed_of(*key: int) -> int:
    """The seed of a stream, below 2**32."""
    return int(np.random.SeedSequence((len(key), *key)).generate_state(1)[0])

"""Factors on the learning rate, given the share of the training that is done."""

import math


def cosine(done: float) -> float:
    """From 1 to 0 along half a cosine (Loshchilov & Hutter 2017, section 3, without restarts)."""
    return (1 + math.cos(math.pi * done)) / 2

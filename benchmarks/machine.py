"""Two limits of this machine, measured now, and the least time that a training step could take under them."""

import time
from collections.abc import Callable

import torch


def best(run: Callable[[], object], repeats: int = 7) -> float:
    """The shortest of several times, in seconds: on a shared machine the others measure the neighbours."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def flops(n: int = 1536) -> float:
    """Floating-point operations per second in a float32 matrix product, on all cores."""
    a, b, c = (torch.randn(n, n) for _ in range(3))
    return 2 * n**3 / best(lambda: torch.mm(a, b, out=c))


def bandwidth(megabytes: int = 256) -> float:
    """Bytes per second that a copy between two buffers larger than any cache reads and writes, on all cores."""
    a = torch.ones(megabytes * 2**18)
    b = torch.empty_like(a)
    return 2 * a.nbytes / best(lambda: b.copy_(a))


def least_time(operations: float, moved: float) -> dict[str, float]:
    """The least time of something that takes so many operations and moves so many bytes: neither can be undercut."""
    rates = {"flops": flops(), "bandwidth": bandwidth()}
    bounds = {"compute": operations / rates["flops"], "memory": moved / rates["bandwidth"]}
    return {**rates, **bounds, "least": max(bounds.values())}

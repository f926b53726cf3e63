"""The Single Module Arithmetic Task for all units: four operations, nine ranges, 25 seeds.

    make paper

Every unit tries every operation, also those that it was not made for. A row is a replica of the table in
`nalu/book/results`; see `nalu.benchmark`. What is
done stays in the folder `single_module.parts`: a run that was stopped goes on with the rest.
"""

import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd
from provenance import HERE, version, write

import nalu
from nalu.experiments.benchmarking import benchmark
from nalu.experiments.sweeps import sweep
from nalu.tasks.single_module import OPERATIONS


def one(unit: str, operation: str) -> pd.DataFrame:
    """A unit on an operation, from all ranges and seeds."""
    run = benchmark(getattr(nalu, unit), operation, workers=1)
    return run.table.assign(seconds=round(run.seconds, 1))


def main() -> None:
    names = [unit.__name__ for unit in nalu.UNITS]
    grid = [{"unit": unit, "operation": operation} for unit in names for operation in OPERATIONS]
    start = time.perf_counter()
    table = sweep(one, grid, HERE / "single_module.parts", version=version())
    print(f"single module task: {len(table):,} replicas in {time.perf_counter() - start:.0f} s")
    write(table, "single_module")


if __name__ == "__main__":
    main()

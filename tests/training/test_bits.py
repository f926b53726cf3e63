"""The second law: what a replica becomes, to the last bit, depends on its seed, its task and its recipe alone.

Not on who trains beside it, in which order, in how many blocks and threads, or with how many looks at it; nor on the
processor or the compiler. `tests/machines.py` has the cases, and tries more machines.
"""

import ctypes
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import machines
import numpy as np
import pandas as pd
import pytest
import torch
from machines import CASES, COMMAND, STORED, X86, Case, advanced, bits, block, hashes, in_node, kernel, program, trained
from torch import Tensor, nn

from nalu import MLP, NAC, stack
from nalu.engine.compiler import library, wasm
from nalu.engine.emitter import HEADERS
from nalu.engine.kernel import array
from nalu.recipe import Recipe, Restart
from nalu.tasks import Identity, StaticFunction
from nalu.training.metrics import mean_squared_error
from nalu.training.result import Fit

STEPS = 200
PROBES = (3, 17)
"""The seeds that are looked at, which lie in two blocks of the first twenty."""


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no C is an error, and zig compiles what names no compiler."""
    monkeypatch.setenv("NALU_ENGINE", "native")
    monkeypatch.delenv("CC", raising=False)


def became(run: Fit, case: Case, seeds: Iterable[int], seed: int) -> tuple[list[int], list[int]]:
    """The bits of a replica's parameters, and of its losses before and after training."""
    (name, key) = case.name, next(iter(case.tasks))
    parameters = bits(run.replicas[name, key].state[:, list(seeds).index(seed)])
    rows = run.table[(run.table.task == key) & (run.table.seed == seed)]
    return parameters.tolist(), bits(rows.loss.to_numpy()[[0, -1]]).tolist()


@cache
def alone(case: Case, seed: int, restart: Restart | None = None) -> tuple[list[int], list[int]]:
    """What becomes of a replica that has no neighbours, tests or looks on the way."""
    changes = {"restart": restart} if restart else {}
    return became(trained(case, [seed], STEPS, **changes), case, [seed], seed)


def assert_as_alone(run: Fit, case: Case, seeds: Sequence[int]) -> None:
    for seed in set(PROBES).intersection(seeds):
        assert became(run, case, seeds, seed) == alone(case, seed), f"seed {seed}"


def largest(network: nn.Module) -> Tensor:
    return torch.stack([p.abs().amax() for p in network.parameters()]).amax()


def own_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).abs().amax((1, 2))


def points(case: Case, count: int = 65) -> dict:
    """A test set for each task."""
    x, _ = case.task.draw(torch.Generator().manual_seed(1), 1)
    x = x[0].repeat(count, 1)[:count]
    return {key: {"points": (x, x[:, :1])} for key in case.tasks}


def scrambled(count: int) -> list[int]:
    return np.random.default_rng(0).permutation(count).tolist()


def later_even(rows: pd.DataFrame) -> np.ndarray:
    return ((rows.seed % 2 == 0) & (rows.step > 50)).to_numpy()


def first_block_and_others(key: str, rows: pd.DataFrame) -> np.ndarray:
    return ((rows.seed < 16) | (rows.task != key)).to_numpy()


# Neighbours, order, threads, looks: all that `fit` may be told besides.

WIDE = Case(
    "NAC of a hundred",
    partial(stack, NAC, [100, 2, 1]),
    {key: StaticFunction(key, points=500, batch=8) for key in ("a + b", "a - b")},
    Recipe(lr=1e-2),
)
REALS = Case(
    "MLP on reals",
    partial(MLP, 1, 1, activation="Tanh"),
    {"-5 to 5": Identity(reals=11), "0 to 10": Identity(0, 10, reals=11)},
    Recipe(lr=1e-2),
)
SOME = {name: CASES[name] for name in ("NALU", "Tanh")} | {case.name: case for case in (WIDE, REALS)}
"""One for each way in which data comes: drawn in C for all tasks, kept, shared by all, drawn in torch."""


FAST = ("NALU", "NPU", "NMU", "Tanh", "Softplus")
EACH = [pytest.param(case, id=name, marks=[] if name in FAST else pytest.mark.slow) for name, case in CASES.items()]
"""All cases; those that are not FAST take too long together for each run."""


@pytest.mark.parametrize("case", EACH)
def test_company_changes_nothing(case: Case) -> None:
    seeds, (key, other) = scrambled(20), case.tasks
    run = trained(
        case, seeds, STEPS, workers=3, tasks=[other, key], checkpoints=7, retire=later_even, tests=points(case),
        error=mean_squared_error, measures={"largest": largest},
    )  # fmt: skip
    assert became(run, case, seeds, 3) == alone(case, 3) != became(run, case, seeds, 5)


SEEDS: dict[str, list[int]] = {
    "7 seeds": [17, 4, 3, 9, 0, 1, 2],
    "20 seeds": list(range(20)),
    "another order": list(range(20))[::-1],
}


@pytest.mark.parametrize("case", SOME.values(), ids=SOME)
@pytest.mark.parametrize("kind", SEEDS)
def test_other_seeds_change_nothing(kind: str, case: Case) -> None:
    assert_as_alone(trained(case, SEEDS[kind], STEPS), case, SEEDS[kind])


@pytest.mark.slow
@pytest.mark.parametrize("count", [100, 1_601])
def test_many_seeds_change_nothing(count: int) -> None:
    case = CASES["NALU"]
    seeds = scrambled(count)
    assert_as_alone(trained(case, seeds, STEPS, workers=2), case, seeds)


@pytest.mark.parametrize("case", SOME.values(), ids=SOME)
@pytest.mark.parametrize("workers", [2, 3])
def test_threads_change_nothing(workers: int, case: Case) -> None:
    run = trained(case, range(20), STEPS, workers=workers, tasks=list(case.tasks))
    assert_as_alone(run, case, range(20))


@pytest.mark.parametrize("case", SOME.values(), ids=SOME)
def test_a_task_in_front_changes_nothing(case: Case) -> None:
    assert_as_alone(trained(case, PROBES, STEPS, tasks=list(case.tasks)[::-1]), case, PROBES)


@pytest.mark.parametrize("case", SOME.values(), ids=SOME)
@pytest.mark.parametrize("whole", [False, True], ids=["in its block", "all other blocks"])
def test_retired_neighbours_change_nothing(whole: bool, case: Case) -> None:
    seeds = [*range(16), 17, 18]
    retire = partial(first_block_and_others, next(iter(case.tasks))) if whole else later_even
    run = trained(case, seeds, STEPS, tasks=list(case.tasks), retire=retire, checkpoints=6)
    assert len(run.table) < 7 * 2 * len(seeds)
    assert became(run, case, seeds, 17) == alone(case, 17)


LOOKS: dict[str, Callable[[Case], dict]] = {
    "each step": lambda case: {"checkpoints": STEPS},
    "one test": lambda case: {"tests": points(case, 1)},
    "tests, measures": lambda case: {"tests": points(case), "measures": {"largest": largest}, "checkpoints": 3},
    "an error of one's own": lambda case: {"tests": points(case), "error": own_error, "checkpoints": 3},
}


@pytest.mark.parametrize("case", SOME.values(), ids=SOME)
@pytest.mark.parametrize("kind", LOOKS)
def test_looking_changes_nothing(kind: str, case: Case) -> None:
    changes = LOOKS[kind](case)
    if "tests" in changes:
        changes["tests"] = {key: changes["tests"][key] for key in [next(iter(case.tasks))]}
    assert_as_alone(trained(case, PROBES, STEPS, **changes), case, PROBES)


@pytest.mark.parametrize("error", [mean_squared_error, own_error])
def test_what_the_table_says_of_a_replica_is_the_same_in_company(error: Callable) -> None:
    case = CASES["NALU"]
    key = next(iter(case.tasks))
    changes = {"tests": points(case), "error": error, "measures": {"largest": largest}, "checkpoints": 5}
    one, seeds = trained(case, [17], STEPS, **changes | {"tests": {key: points(case)[key]}}).table, scrambled(20)
    many = trained(case, seeds, STEPS, workers=2, tasks=list(case.tasks), **changes).table
    many = many[(many.task == key) & (many.seed == 17)]
    for column in ("loss", "points", "largest"):
        assert bits(many[column]).tolist() == bits(one[column]).tolist()


def slower(case: Case, lr: float) -> Case:
    return replace(case, recipe=replace(case.recipe, lr=lr))


RESTARTED = {
    "INALU": (slower(CASES["INALU"], 0.5), 800.0),
    "NALU": (replace(CASES["NALU"], tasks=dict(reversed(CASES["NALU"].tasks.items()))), 0.3),
    "NMU": (CASES["NMU"], 1.2),
    "Tanh": (slower(CASES["Tanh"], 0.5), 1.7),
    WIDE.name: (slower(WIDE, 1e-4), 154.0),
    REALS.name: (slower(REALS, 0.5), 2.5),
}
"""Trainings in which the loss of some replicas stays above a number, and that of others does not."""


@pytest.mark.parametrize(("case", "above"), RESTARTED.values(), ids=RESTARTED)
def test_new_starts_of_neighbours_change_nothing(case: Case, above: float) -> None:
    seeds = list(range(20))
    rule = Restart(every=10, after=60, above=above)
    plain = trained(case, seeds, STEPS, restart=None)
    run = trained(case, seeds, STEPS, restart=rule, checkpoints=9, workers=2)
    anew = [seed for seed in seeds if became(run, case, seeds, seed) != became(plain, case, seeds, seed)]
    spared = [seed for seed in seeds if seed not in anew]
    assert anew and spared
    for seed in (anew[-1], spared[-1]):
        assert became(run, case, seeds, seed) == alone(case, seed, rule), f"seed {seed}"


@pytest.mark.parametrize("case", SOME.values(), ids=SOME)
def test_a_rule_that_never_restarts_changes_nothing(case: Case) -> None:
    run = trained(case, range(20), STEPS, restart=Restart(every=7, after=50, above=float("inf")))
    assert_as_alone(run, case, range(20))


# A block of sixteen lanes.

WILD = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 3e38, 1e-40, -1e-45, 0, -0.0, 100, -100, 1e5, 20, -1, 1])


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_lanes_do_not_meet(case: Case) -> None:
    made = kernel(case)
    given = block(case, made, STEPS)
    usual = bits(advanced(made, given))
    order = np.random.default_rng(1).permutation(16)
    other = made.array(*given.state.shape)
    other[:] = given.state[:, order]
    moved = machines.Block(other, given.numbers, given.batch, given.seeds[order])
    np.testing.assert_array_equal(bits(advanced(made, moved)), usual[:, order])
    for shift, kept in ((0, [7]), (5, [0, 15])):
        other = made.array(*given.state.shape)
        other[:] = np.roll(WILD, shift)
        other[:, kept] = given.state[:, kept]
        wild = machines.Block(other, given.numbers, given.batch, given.seeds)
        np.testing.assert_array_equal(bits(advanced(made, wild))[:, kept], usual[:, kept])


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_cuts_change_nothing(case: Case) -> None:
    made = kernel(case)
    given = block(case, made, STEPS)
    usual = bits(advanced(made, given))
    for calls, ahead in (([1] * STEPS, 1), ([7, 93, 1, 99], 50), ([STEPS], STEPS)):
        np.testing.assert_array_equal(bits(advanced(made, given, calls, ahead)), usual)


# Functions take another way where a lane needs it; on both, the others have to come out alike.

BRANCHING = ["exp", "exp2", "expm1", "log", "log2", "log1p", "sin", "cos"]
BESIDE = (
    "#define SINGLE 1\n" + HEADERS[0] + "static const unsigned odd[] = {0x7f7fffff, 0x7fc00000}; /* large, and NaN */\n"
)
BESIDE += "".join(
    f"""
/* Numbers of which a special neighbour changes the result, among those from `first` on, or among given ones. */
long beside_{name}(const unsigned *given, unsigned first, long vectors, unsigned *found) {{
  long count = 0;
  for (long k = 0; k < vectors; k++) {{
    U x;
    for (unsigned l = 0; l < 16; l++) x[l] = given ? given[16 * k + l] : first + 16 * (unsigned)k + l;
    V usual = v{name}((V)x);
    for (int o = 0; o < 2; o++) {{
      U y = x;
      y[(k + o) % 16] = odd[o];
      V beside = v{name}((V)y);
      for (int l = 0; l < 16; l++)
        if (x[l] == y[l] && ((U)usual)[l] != ((U)beside)[l] && usual[l] == usual[l] && count++ < 100)
          found[count - 1] = x[l];
    }}
  }}
  return count;
}}"""
    for name in BRANCHING
)


def changed_by_neighbours(name: str, given: np.ndarray | None, first: int = 0, count: int = 0) -> list[float]:
    """Numbers of which a function's result depends on other lanes, the first hundred."""
    function = getattr(ctypes.CDLL(str(library(BESIDE))), f"beside_{name}")
    function.restype = ctypes.c_long
    if given is not None:
        given = np.ascontiguousarray(given[: len(given) // 16 * 16], np.float32)
    found = np.zeros(100, np.uint32)
    vectors = ctypes.c_long((count if given is None else len(given)) // 16)
    where = ctypes.c_void_p(None if given is None else given.ctypes.data)
    number = function(where, ctypes.c_uint(first), vectors, ctypes.c_void_p(found.ctypes.data))
    return sorted(set(found[: min(number, 100)].view(np.float32).tolist()))


@pytest.mark.parametrize("name", BRANCHING)
def test_functions_do_not_see_other_lanes_where_they_round(name: str) -> None:
    # Half way between two whole numbers of periods, one way may round up and the other down.
    halves = np.arange(-300, 300) / 2
    periods = [np.log(2), 1.0, np.pi / 2]
    at = np.concatenate([halves * period for period in periods] + [np.exp2(halves[abs(halves) < 120])])
    near = np.float32(at).view(np.uint32)[:, None] + np.arange(-32, 32, dtype=np.int64)
    x = near[np.float32(at) != 0].astype(np.uint32).view(np.float32).ravel()
    assert changed_by_neighbours(name, x) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", BRANCHING)
def test_functions_see_no_other_lanes_at_all(name: str) -> None:
    first, last = (int(np.float32(x).view(np.uint32)) for x in (2.0**-12, 2.0**8))
    for sign in (0, 1 << 31):
        assert changed_by_neighbours(name, None, sign + first, last - first) == []


def test_powers_do_not_see_other_lanes() -> None:
    source = "#define SINGLE 1\n" + HEADERS[0]
    source += "void powers(V *x, V *y, V *z, long n) { for (long k = 0; k < n; k++) z[k] = vpow(x[k], y[k]); }"
    function = ctypes.CDLL(str(library(source))).powers

    def powers(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        arrays = [array(*x.shape, dtype=np.float32) for _ in range(3)]
        arrays[0][:], arrays[1][:] = x, y
        function(*(ctypes.c_void_p(a.ctypes.data) for a in arrays), ctypes.c_long(len(x)))
        return bits(arrays[2])

    generator = np.random.default_rng(3)
    x = np.exp2(generator.integers(-40, 40, (20_000, 16)) / 2).astype(np.float32)
    x[::2] = np.exp2(generator.uniform(-30, 30, (10_000, 16)))
    y = generator.integers(-9, 9, x.shape).astype(np.float32) / 2
    usual = powers(x, y)
    for odd in (-1.0, 0.0, np.nan, np.inf):
        beside = x.copy()
        beside[:, 5] = odd
        np.testing.assert_array_equal(np.delete(powers(beside, y), 5, 1), np.delete(usual, 5, 1))


# Processors and compilers.


def builds() -> list[tuple[str, str | None]]:
    """Targets and compilers that this machine can run, beside its own."""
    cpu = Path("/proc/cpuinfo")
    found: list[tuple[str, str | None]] = [("x86_64", None)] if X86 else []
    if X86 and cpu.exists() and "avx2" in cpu.read_text(encoding="utf-8"):
        found.append(("x86_64_v3", None))
    return found + [("native", compiler) for compiler in ("gcc", "clang") if shutil.which(compiler)]


@pytest.mark.parametrize("case", EACH)
def test_processors_and_compilers_give_the_same_bits(case: Case) -> None:
    made = kernel(case)
    given = block(case, made, 300)
    usual, paths = bits(advanced(made, given)), {made.library._name}
    for target, compiler in builds():
        other = kernel(case, target, compiler)
        assert other.source == made.source
        np.testing.assert_array_equal(bits(advanced(other, given)), usual, err_msg=f"{compiler or 'zig'}, {target}")
        paths.add(other.library._name)
    assert len(paths) == 1 + len(builds())


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
@pytest.mark.parametrize("case", EACH)
def test_webassembly_gives_the_same_bits(case: Case, tmp_path: Path) -> None:
    made = kernel(case)
    given = block(case, made, 300)
    module = wasm(program(made, given), ["place", "run"])
    np.testing.assert_array_equal(bits(in_node(module, made, given, tmp_path)), bits(advanced(made, given)))


def what_differs(what: str) -> str:
    return f"other bits than in {STORED.name}: {what}; if that is meant, run `{COMMAND}`"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_bits_are_those_that_are_stored(case: Case) -> None:
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    assert (stored["steps"], stored["seeds"]) == (machines.STEPS, len(machines.SEEDS))
    assert case.name in stored["bits"], f"run `{COMMAND}`"
    expected, got = stored["bits"][case.name], hashes(case)
    assert got["start"] == expected["start"], f"{case.name}: {what_differs('the initial parameters, from torch,')}"
    differing = " and ".join(name for name in expected if got[name] != expected[name])
    assert not differing, f"{case.name}: {what_differs(f'after {machines.STEPS} steps, {differing}')}"


def test_each_case_is_stored() -> None:
    assert list(json.loads(STORED.read_text(encoding="utf-8"))["bits"]) == list(CASES), f"run `{COMMAND}`"


def test_hashes_see_one_bit_and_no_nan() -> None:
    numbers = np.array([[1.0, np.nan, 0.0]], np.float32)
    other = numbers.copy()
    other.view(np.uint32)[0, 1] = 0xFFC12345
    assert machines.digest(other) == machines.digest(numbers)
    for k, changed in ((0, np.nextafter(np.float32(1), np.float32(2))), (2, -0.0)):
        other = numbers.copy()
        other[0, k] = changed
        assert machines.digest(other) != machines.digest(numbers)

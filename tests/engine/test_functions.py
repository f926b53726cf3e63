"""The functions that training in C uses: how exact they are, and that each build gives the same bits."""

import ctypes
import hashlib
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from nalu import engine
from nalu.engine.compiler import library, wasm

ENGINE = Path(engine.__file__).parent
# The largest errors in ulp. But for pow and the rounded operations, they were found by trying each float32 number.
BOUNDS = {
    "exp": 1.03,
    "exp2": 1.4,
    "expm1": 1.76,
    "log": 1.38,
    "log2": 1.76,
    "log1p": 1.87,
    "sigmoid": 2.41,
    "tanh": 2.61,
    "sin": 1.59,
    "cos": 1.6,
    "pow": 1.7,
    "sqrt": 0.5,
    "rsqrt": 1.5,
}
ROUNDED = ["floor", "ceil", "round", "trunc", "sign", "abs", "neg", "relu"]  # as in torch, to the bits
UNARY = [*(name for name in BOUNDS if name != "pow"), *ROUNDED]
BINARY = ["pow", "min", "max"]
STREAM = 2000
SOURCE = "\n".join(
    [
        *(
            f"void f_{name}(const V *x, const V *y, V *z, long n) "
            f"{{ for (long i = 0; i < n; i++) z[i] = v{name}(x[i]{', y[i]' if name in BINARY else ''}); }}"
            for name in UNARY + BINARY
        ),
        """
void f_clamp(const V *x, const V *y, V *z, long n) { for (long i = 0; i < n; i++) z[i] = vclamp(x[i], y[i], all(1)); }
void f_choice(const V *x, const V *y, V *z, long n) {
  for (long i = 0; i < n; i++) z[i] = any(x[i] < y[i]) ? sel(x[i] < y[i], all(-0.0), number(x[i] > y[i])) : all(-1);
}
void f_stream(const V *x, const V *y, V *z, long n) {
  static U state[624];
  unsigned seeds[16];
  for (unsigned l = 0; l < 16; l++) seeds[l] = 1000 * l;
  seed(state, seeds);
  uniform(state, 624, z, n);
}""",
    ]
)
NAMES = [*UNARY, *BINARY, "clamp", "choice", "stream"]
# All that a build computes for two files of numbers: run apart, as code that must not be reached may end its process.
RUN = """
import ctypes, sys
import numpy as np
path, folder, names = sys.argv[1], sys.argv[2], sys.argv[3:]
def aligned(numbers):
    memory = np.zeros(numbers.size + 16, np.float32)
    start = -memory.ctypes.data // 4 % 16
    memory[start : start + numbers.size] = numbers
    return memory[start : start + numbers.size]
x, y = (aligned(np.fromfile(f"{folder}/{name}", np.float32)) for name in "xy")
z, loaded = aligned(x), ctypes.CDLL(path)
with open(f"{folder}/z", "wb") as file:
    for name in names:
        function = getattr(loaded, f"f_{name}")
        function(*(ctypes.c_void_p(a.ctypes.data) for a in (x, y, z)), ctypes.c_long(len(x) // 16))
        file.write(z.tobytes())
"""
NODE = """
const fs = require("fs"), [path, folder, ...names] = process.argv.slice(2)
const x = fs.readFileSync(`${folder}/x`), y = fs.readFileSync(`${folder}/y`)
WebAssembly.instantiate(fs.readFileSync(path)).then(({instance: {exports: e}}) => {
  const start = Math.ceil(e.__heap_base.value / 64) * 64
  e.memory.grow(Math.ceil((3 * x.length + 64) / 65536))
  const memory = new Uint8Array(e.memory.buffer)
  memory.set(x, start), memory.set(y, start + x.length)
  const results = names.map(name => {
    e[`f_${name}`](start, start + x.length, start + 2 * x.length, x.length / 64)
    return Buffer.from(memory.slice(start + 2 * x.length, start + 3 * x.length))
  })
  fs.writeFileSync(`${folder}/z`, Buffer.concat(results))
})
"""
FLAGS = ["-ffp-contract=off", "-fno-math-errno", "-fPIC", "-shared", "-nostdlib", "-w"]
CLANG = ["-fno-vectorize", "-fno-slp-vectorize", "-fno-sanitize=undefined"]
ZIG = {
    "native": ["-O2", "-mcpu=native", *CLANG],
    "-O1": ["-Xclang", "-O1", "-mcpu=native", *CLANG],
    "-O0, which stops where C leaves open what happens": ["-O0", "-fsanitize=undefined", "-fsanitize-trap=undefined"],
    "vectoriser": ["-O3", "-mcpu=native", "-fno-sanitize=undefined"],
    "called in place": ["-O2", "-mcpu=native", *CLANG, "-DMATH=LIGHT"],
}
ZIG_X86 = {target: ["-O2", f"-mcpu={target}", *CLANG] for target in ("x86_64", "x86_64_v2", "x86_64_v3", "x86_64_v4")}
GCC = {"gcc -O0": ["-O0"], "gcc -O2": ["-O2", "-march=native"], "gcc -O3": ["-O3", "-march=native"]}
X86 = platform.machine().lower() in ("x86_64", "amd64")


def whole(single: bool = True) -> str:
    """The source of a library with each function over arrays."""
    headers = [(ENGINE / name).read_text(encoding="utf-8") for name in ("functions.h", "streams.h")]
    return "\n".join([f"#define SINGLE {int(single)}", *headers, SOURCE])


def aligned(numbers: np.ndarray, dtype: type) -> np.ndarray:
    """A copy, filled up to whole vectors, where C may read it."""
    count, size = -(-numbers.size // 16) * 16, np.dtype(dtype).itemsize
    memory = np.zeros(count + 64 // size, dtype)
    start = -memory.ctypes.data // size % (64 // size)
    copied = memory[start : start + count]
    copied[: numbers.size] = numbers.ravel()
    return copied


@cache
def loaded(single: bool = True) -> ctypes.CDLL:
    return ctypes.CDLL(str(library(whole(single), single=single)))


def results(name: str, x: np.ndarray, y: np.ndarray | None = None, *, single: bool = True) -> np.ndarray:
    """What a function gives for each number."""
    dtype = np.float32 if single else np.float64
    arrays = [aligned(a, dtype) for a in (x, x if y is None else y, x)]
    getattr(loaded(single), f"f_{name}")(
        *(ctypes.c_void_p(a.ctypes.data) for a in arrays), ctypes.c_long(arrays[0].size // 16)
    )
    return arrays[2][: x.size]


SPECIAL = [0, 1, 2, 0.5, 0.75, 1.5, 2.5, 3, 88.7, 88.8, 104, 1e-45, 1e-40, 1.1754944e-38, 8388607.5, 8388609, 16777215]
SPECIAL = np.array([*SPECIAL, 3e9, 1e30, 3.4028235e38, np.inf], np.float32)
SPECIAL = np.concatenate([SPECIAL, -SPECIAL, [np.float32(np.nan)]])
# Where one way to compute something ends and another begins.
TURNS = [0.5**0.5, 2**0.5, 1, 2, 87, 88.72, 89, 103.97, 104, 126, 128, 149, 150, 0.34657, 0.17328, 9.01, 10, 2.0**17]
TURNS += [2.0**23, 2.0**100, 2.0**-126, 2.0**-24, 3.0e38, 1e-38]


def grid(mantissas: int = 400) -> np.ndarray:
    """Numbers of all magnitudes and both signs, neighbours of what is special, more where functions change most."""
    generator = np.random.default_rng(1)
    bits = (np.arange(255)[:, None] << 23) + generator.integers(0, 1 << 23, (255, mantissas))
    length = np.arange(23).repeat(20)  # of the mantissas of numbers below the normal ones
    below = (1 << length) | generator.integers(0, 1 << length)
    at = np.array(TURNS, np.float32).view(np.uint32)[:, None] + np.arange(-100, 101)
    numbers = np.concatenate([a.ravel().astype(np.uint32).view(np.float32) for a in (bits, below, at)])
    dense = [generator.uniform(-a, a, 250 * mantissas).astype(np.float32) for a in (1, 2, 20, 110)]
    return np.concatenate([numbers, -numbers, *dense, SPECIAL])


def errors(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Distances in ulp; infinite where one is NaN or has the other sign. What is infinite is where 2^128 would be."""
    unit = np.ldexp(1.0, np.clip(np.frexp(exact)[1] - 24, -149, 104))
    a, b = (np.where(np.isnan(x), 0, np.clip(x.astype(np.float64), -(2.0**128), 2.0**128)) for x in (got, exact))
    alike = (np.isnan(got) == np.isnan(exact)) & (np.isnan(exact) | (np.signbit(got) == np.signbit(exact)))
    return np.where(alike, np.abs(a - b) / np.where(np.isfinite(exact), unit, 2.0**104), np.inf)


def sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


EXACT: dict[str, Callable[..., np.ndarray]] = {
    name: getattr(np, name) for name in ("exp", "exp2", "expm1", "log", "log2", "log1p", "tanh", "sin", "cos", "sqrt")
} | {"sigmoid": sigmoid, "rsqrt": lambda x: 1 / np.sqrt(x), "pow": np.power}


def pairs(count: int = 200_000) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and powers of them that are no longer, or just not yet, 0 or infinite; also small powers, and near 1."""
    generator = np.random.default_rng(2)
    x = np.exp2(generator.uniform(-149, 128, 2 * count)).astype(np.float32)
    x[count:] = 1 + generator.choice([1e-6, 1e-3, 0.3], count) * generator.uniform(-1, 1, count)
    x[x == 1] = 2
    y = generator.uniform(-150, 129, 2 * count) / np.log2(x.astype(np.float64))
    whole = generator.integers(-30, 30, count)
    both = [(x, y), (generator.uniform(-3, 3, count), whole), (np.exp2(generator.uniform(-99, 99, count)), whole / 30)]
    both.append(tuple(a.ravel() for a in np.meshgrid(SPECIAL, SPECIAL)))
    return tuple(np.concatenate(a).astype(np.float32) for a in zip(*both, strict=True))


@pytest.mark.parametrize("name", BOUNDS)
def test_errors_are_bounded_everywhere(name: str) -> None:
    arguments = pairs() if name == "pow" else (grid(),)
    with np.errstate(all="ignore"):
        exact = EXACT[name](*(a.astype(np.float64) for a in arguments))
        error = errors(results(name, *arguments), exact)
    worst = int(np.argmax(error))
    assert error[worst] <= BOUNDS[name], f"{name}({', '.join(str(a[worst]) for a in arguments)})"
    assert error[worst] > 0.8 * BOUNDS[name]  # else the bound says little


def test_the_header_states_the_bounds() -> None:
    text = (ENGINE / "functions.h").read_text(encoding="utf-8")
    stated = dict(re.findall(r"\bv(\w+): ([\d.]+) ulp", text))
    assert stated == {name: f"{bound:.2f}" for name, bound in BOUNDS.items()}


@pytest.mark.parametrize("name", ROUNDED)
def test_simple_functions_have_the_bits_of_torch(name: str) -> None:
    x = grid()
    expected = getattr(torch, name)(torch.from_numpy(x)).numpy()
    np.testing.assert_array_equal(results(name, x), expected)
    counts = ~np.isnan(expected) & (x != 0 if name == "relu" else True)  # torch's relu(-0) depends on the processor
    np.testing.assert_array_equal(np.signbit(results(name, x))[counts], np.signbit(expected)[counts])


@pytest.mark.parametrize("name", [name for name in BOUNDS if name not in ("pow", "sqrt")])
def test_special_values_are_those_of_torch(name: str) -> None:
    x = SPECIAL
    got, expected = results(name, x), getattr(torch, name)(torch.from_numpy(x)).numpy()
    with np.errstate(all="ignore"):
        exact = EXACT[name](x.astype(np.float64)).astype(np.float32)
    plain = np.isnan(expected) | np.isin(expected, [0, 1, -1, np.inf, -np.inf])
    plain &= np.isnan(exact) | (exact == expected)  # torch makes 0 of some numbers that are not quite
    np.testing.assert_array_equal(got[plain], expected[plain])
    numbers = plain & ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[numbers]), np.signbit(expected[numbers]))
    assert plain.sum() > 3


def test_special_powers_are_those_of_torch() -> None:
    x, y = (a.ravel() for a in np.meshgrid(SPECIAL, SPECIAL))
    got, expected = results("pow", x, y), torch.pow(torch.from_numpy(x), torch.from_numpy(y)).numpy()
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[numbers]), np.signbit(expected[numbers]))
    simple = np.isin(expected, [0, 1, -1, np.inf, -np.inf])
    np.testing.assert_array_equal(got[simple], expected[simple])


@pytest.mark.parametrize(("name", "function"), [("min", torch.minimum), ("max", torch.maximum)])
def test_extrema_are_those_of_torch(name: str, function: Callable[..., torch.Tensor]) -> None:
    x, y = (a.ravel() for a in np.meshgrid(SPECIAL, SPECIAL))
    np.testing.assert_array_equal(results(name, x, y), function(torch.from_numpy(x), torch.from_numpy(y)).numpy())


@pytest.mark.parametrize("low", [-np.inf, -1.0, -0.0, 0.0, 0.5, 2.0])
def test_clamp_is_that_of_torch(low: float) -> None:
    x = SPECIAL.repeat(16)
    expected = torch.clamp(torch.from_numpy(x), low, 1).numpy()
    np.testing.assert_array_equal(results("clamp", x, np.full_like(x, low)), expected)


def test_choices_keep_minus_zero() -> None:
    x = np.array([1, 2, 3, np.nan] * 4 + [5.0] * 16, np.float32)
    y = np.array([2, 2, 2, 2] * 4 + [1.0] * 16, np.float32)
    got = results("choice", x, y)
    np.testing.assert_array_equal(got, [-0.0, 0, 1, 0] * 4 + [-1] * 16)
    assert np.signbit(got[:4]).tolist() == [True, False, False, False]


def test_powers_of_two_are_exact_both_ways() -> None:
    exponents = np.arange(-149, 128, dtype=np.float32)
    powers = np.ldexp(np.float32(1), exponents.astype(int))
    np.testing.assert_array_equal(results("exp2", exponents), powers)
    np.testing.assert_array_equal(results("log2", powers), exponents)


def test_tanh_is_odd_and_never_beyond_one() -> None:
    x = grid()
    x = x[~np.isnan(x)]
    np.testing.assert_array_equal(results("tanh", -x), -results("tanh", x))
    assert np.abs(results("tanh", x)).max() == 1


def test_a_special_lane_does_not_change_its_neighbours() -> None:
    x = np.abs(grid(4))
    x = x[(x > 0.01) & (x < 20)]
    for name in [*UNARY, "pow"]:
        y = np.full_like(x, 0.3)
        usual = results(name, x, y)
        for odd in (0.0, -1e30, 1e30, 1e-40, np.nan, np.inf):
            beside = x.copy()
            beside[::16] = odd
            keep = np.arange(len(x)) % 16 > 0
            np.testing.assert_array_equal(results(name, beside, y)[keep], usual[keep])


# Streams.


def state(seeds: list[int], single: bool = True) -> np.ndarray:
    words = aligned(np.zeros(624 * 16), np.uint32)
    loaded(single).seed(ctypes.c_void_p(words.ctypes.data), (ctypes.c_uint * 16)(*seeds))
    return words


def drawn(
    kind: str, words: np.ndarray, position: int, count: int, *more: int, single: bool = True
) -> tuple[np.ndarray, int]:
    dtype = (np.float32 if single else np.float64) if kind == "uniform" else np.uint32
    out = aligned(np.zeros(count * 16), dtype)
    position = getattr(loaded(single), kind)(
        ctypes.c_void_p(words.ctypes.data),
        position,
        ctypes.c_void_p(out.ctypes.data),
        ctypes.c_long(count),
        *map(ctypes.c_uint, more),
    )
    return out.reshape(count, 16), position


SEEDS = [0, 1, 2**31, 2**32 - 1, 19650218, *range(100, 111)]


@pytest.mark.parametrize("single", [True, False])
def test_uniform_numbers_are_those_of_torch(single: bool) -> None:
    words, position = state(SEEDS, single), 624
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    for count in (1, 15, 607, 1, 1, 0, 625, 2000):
        numbers, position = drawn("uniform", words, position, count, single=single)
        expected = np.stack([torch.rand(count, generator=g).numpy() for g in generators], axis=1)
        np.testing.assert_array_equal(numbers, expected)


def test_only_the_low_half_of_a_seed_counts_in_torch() -> None:
    assert torch.rand((), generator=torch.Generator().manual_seed(2**32 + 5)) == torch.rand(
        (), generator=torch.Generator().manual_seed(5)
    )


def test_words_are_those_of_the_twister() -> None:
    numbers, position = drawn("words", state(SEEDS), 624, 1500)
    assert position == 1500 % 624
    for seed, lane in zip(SEEDS, numbers.T, strict=True):
        np.testing.assert_array_equal(np.random.RandomState(seed).randint(0, 2**32, 1500, dtype=np.uint32), lane)


@pytest.mark.parametrize("high", [1, 2, 7, 31, 1000, 2**28 - 1, 2**28, 10**9, 2**32 - 1])
def test_whole_numbers_are_those_of_torch(high: int) -> None:
    words, position = state(SEEDS), 624
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    for count in (3, 700):
        numbers, position = drawn("below", words, position, count, high)
        expected = np.stack([torch.randint(high, (count,), generator=g).numpy() for g in generators], axis=1)
        np.testing.assert_array_equal(numbers, expected)


# The float64 build.


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("choice", "stream", "clamp")])
def test_float64_is_that_of_the_c_library(name: str) -> None:
    x = np.concatenate([grid(40).astype(np.float64), 0.5 + np.arange(-5.0, 5), 2.0**52 + np.arange(-2, 3)])
    y = np.roll(x, 100)
    with np.errstate(all="ignore"):
        function = EXACT.get(name) or getattr(torch, {"min": "minimum", "max": "maximum"}.get(name, name))
        if name in EXACT:
            expected = function(x, y) if name in BINARY else function(x)
        else:
            expected = function(*(torch.from_numpy(a) for a in ((x, y) if name in BINARY else (x,)))).numpy()
    got = results(name, x, y, single=False)
    np.testing.assert_allclose(got, expected, rtol=1e-14 if name in EXACT else 0, atol=1e-307)


# The same bits from each build, and no complaint.


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("compiler", ["zig", "gcc"])
def test_compilers_have_nothing_to_complain_about(
    compiler: str, single: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compiler == "gcc" and shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    for variable in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"):
        monkeypatch.setenv(variable, str(tmp_path))
    (tmp_path / "unused.c").write_text(whole(single).replace(SOURCE, ""), encoding="utf-8")
    command = zig() if compiler == "zig" else ["gcc", "-Wno-psabi"]
    command += ["-O2", "-Wall", "-Wextra", "-fno-math-errno", "-nostdlib", "-c", "unused.c", "-o", "unused.o"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True)
    assert run.stdout + run.stderr == ""


def digest(numbers: np.ndarray) -> dict[str, str]:
    """A hash of each function's results, whose NaNs are made alike."""
    numbers = numbers.reshape(len(NAMES), -1).copy()
    numbers[np.isnan(numbers)] = np.nan
    return {name: hashlib.sha256(row.tobytes()).hexdigest()[:16] for name, row in zip(NAMES, numbers, strict=True)}


@cache
def inputs() -> tuple[np.ndarray, np.ndarray]:
    x, (a, b) = grid(20), pairs(2000)
    x, y = np.concatenate([x, a]), np.concatenate([np.roll(x, 1000), b])
    return aligned(x, np.float32), aligned(y, np.float32)


@cache
def usual() -> dict[str, str]:
    x, y = inputs()
    return digest(np.concatenate([results(name, x, y) for name in NAMES]))


def outcome(folder: Path, command: list[str]) -> dict[str, str]:
    """What a command makes of the inputs."""
    for name, a in zip("xy", inputs(), strict=True):
        a.tofile(folder / name)
    subprocess.run([*command, str(folder), *NAMES], check=True)
    return digest(np.fromfile(folder / "z", np.float32))


def compiled(folder: Path, command: list[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a compiler's library makes of the inputs."""
    for variable in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"):
        monkeypatch.setenv(variable, str(folder))
    (folder / "source.c").write_text(whole(), encoding="utf-8")
    subprocess.run([*command, *FLAGS, "-o", str(folder / "made.so"), str(folder / "source.c")], check=True)
    return outcome(folder, [sys.executable, "-c", RUN, str(folder / "made.so")])


def zig() -> list[str]:
    found = find_spec("ziglang")
    if found is None or not found.origin:
        pytest.skip("needs ziglang")
    return [str(Path(found.origin).with_name("zig")), "cc"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ZIG)
def test_zig_gives_the_same_bits_however_it_compiles(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compiled(tmp_path, [*zig(), *ZIG[kind]], monkeypatch) == usual()


@pytest.mark.slow
@pytest.mark.skipif(not X86, reason="needs an x86 processor")
@pytest.mark.parametrize("target", ZIG_X86)
def test_each_x86_processor_gives_the_same_bits(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = {"x86_64_v2": "sse4_2", "x86_64_v3": "avx2", "x86_64_v4": "avx512vl"}.get(target)
    cpu = Path("/proc/cpuinfo")
    if needed and not (cpu.exists() and needed in cpu.read_text(encoding="utf-8")):
        pytest.skip(f"needs {needed}")
    assert compiled(tmp_path, [*zig(), *ZIG_X86[target]], monkeypatch) == usual()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
@pytest.mark.parametrize("kind", GCC)
def test_gcc_gives_the_same_bits(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled(tmp_path, ["gcc", *GCC[kind]], monkeypatch) == usual()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_webassembly_gives_the_same_bits(tmp_path: Path) -> None:
    (tmp_path / "made.wasm").write_bytes(wasm(whole(), [f"f_{name}" for name in NAMES]))
    (tmp_path / "run.js").write_text(NODE, encoding="utf-8")
    assert outcome(tmp_path, ["node", str(tmp_path / "run.js"), str(tmp_path / "made.wasm")]) == usual()

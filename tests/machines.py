"""Does every machine train to the same bits? Units and activations on other processors, compilers and in node.

    python tests/machines.py            a table: what each machine makes of each
    python tests/machines.py --write    what this one makes of them, into tests/bits.json

The C of each network becomes a program, or WebAssembly, that reads sixteen replicas and trains them. Processors that
this one is not are emulated, by qemu-user. What is not installed is left out.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from helpers.settings import told
from torch import nn

from nalu import units
from nalu.engine.compiler import CLANG, FLAGS, wasm
from nalu.engine.kernel import LANES, Kernel, Layout, Streams, Work
from nalu.engine.step import numbers as numbers_of
from nalu.recipe import Recipe
from nalu.streams import DATA, seed_of
from nalu.tasks import Identity, Task
from nalu.tasks.single_module import ranges
from nalu.training.fitting import fit
from nalu.training.replicas import Build, build
from nalu.training.result import Fit

STORED = Path(__file__).with_name("bits.json")
COMMAND = "python tests/machines.py --write"
STEPS = 1000
SEEDS = range(LANES)
X86 = platform.machine().lower() in ("x86_64", "amd64")


@dataclass(frozen=True)
class Case:
    """A network and how it is trained.

    Attributes:
        make: what makes the network.
        tasks: what may be trained beside each other; the first is the one that counts.
        recipe: of the training.
    """

    name: str
    make: Build
    tasks: Mapping[str, Task] = field(hash=False)
    recipe: Recipe

    @property
    def task(self) -> Task:
        return next(iter(self.tasks.values()))


def _mlp(activation: str, generator: torch.Generator) -> nn.Module:
    return units.MLP(1, 1, activation=activation, generator=generator)


def _uniform(make: type[nn.Module], generator: torch.Generator) -> nn.Module:
    """With parameters in [-1, 1]: an orthogonal matrix, from a library, may have other bits on another processor."""
    network = make(2, 1, generator=generator)
    for p in network.parameters():
        nn.init.uniform_(p, -1, 1, generator)
    return network


def _unit(unit: type[nn.Module]) -> Case:
    name, operation = unit.__name__, unit.operations[-1]
    tasks = ranges(operation)
    # From negative numbers, one of them learns nothing but NaN.
    keys = ["[1, 2]", "[10, 20]"] if name == "MulMCFC" else ["[-2, 2]", "[0.1, 0.2]"]
    make = partial(_uniform, unit) if name.endswith("MCFC") else partial(unit, 2, 1)
    return Case(name, make, {key: tasks[key] for key in keys}, unit.recipe(operation))


CASES = {unit.__name__: _unit(unit) for unit in units.UNITS} | {
    name: Case(name, partial(_mlp, name), {"-5 to 5": Identity(), "0 to 10": Identity(0, 10)}, Recipe(lr=1e-2))
    for name in units.ACTIVATIONS
}
"""Each unit on the last of its operations, and chapter 1's networks."""


def bits(numbers: np.ndarray | torch.Tensor) -> np.ndarray:
    """The bits of float32 numbers; those of all NaNs are alike."""
    numbers = np.array(numbers.numpy() if isinstance(numbers, torch.Tensor) else numbers, np.float32)
    numbers[np.isnan(numbers)] = np.nan
    return numbers.view(np.int32)


def digest(numbers: np.ndarray | torch.Tensor) -> str:
    """A hash of the bits, in rows of replicas."""
    return hashlib.sha256(np.ascontiguousarray(bits(numbers)).tobytes()).hexdigest()[:16]


def trained(case: Case, seeds: Iterable[int] = SEEDS, steps: int = STEPS, **changes: object) -> Fit:
    """What `fit` makes of a case."""
    settings = told(**{"checkpoints": 1, "workers": 1} | vars(case.recipe) | changes)
    tasks = settings.pop("tasks", [next(iter(case.tasks))])
    return fit({case.name: case.make}, {key: case.tasks[key] for key in tasks}, seeds=seeds, steps=steps, **settings)


def untrained(case: Case) -> np.ndarray:
    """The initial parameters of the seeds, in columns."""
    networks = [build(case.make, seed) for seed in SEEDS]
    return torch.stack([nn.utils.parameters_to_vector(n.parameters()) for n in networks], 1).detach().numpy()


def hashes(case: Case) -> dict[str, str]:
    """Of the parameters before training, which torch draws, and after it, and of the moments and all losses.

    Parameters alone tell little of units that clamp theirs to whole numbers.
    """
    (replicas,) = trained(case).replicas.values()
    made = kernel(case)
    rest = advanced(made, block(case, made))[made.parameters :]
    return {"start": digest(untrained(case)), "parameters": digest(replicas.state), "moments, losses": digest(rest)}


# The same without `fit`: a block of sixteen replicas, for programs that know nothing of Python.


@dataclass(frozen=True)
class Block:
    """What a block of replicas is trained on.

    Attributes:
        state: the untrained replicas, as the kernel's `state` gives them.
        numbers: of the steps, (steps, numbers).
        batch: the one of all steps, or none where each is drawn.
        seeds: what it is drawn from, one a lane.
    """

    state: np.ndarray
    numbers: np.ndarray
    batch: np.ndarray | None
    seeds: np.ndarray


@cache
def kernel(case: Case, target: str = "native", compiler: str | None = None) -> Kernel:
    """The C of a case, as `fit` writes it where nothing is tested."""
    recipe, task = case.recipe, case.task
    scaled = hasattr(task, "noise")
    if scaled:
        scales = [f"scale_{k}" for k in range(len(task.scales))]
        layout = Layout([torch.full(task.noise, 0.25)], numbers=scales, examples=task.examples)
    else:
        layout = Layout([part[0] for part in task.draw(torch.Generator(), 1)])
    return Kernel(build(case.make, 0), recipe, layout, target=target, compiler=compiler)


def block(case: Case, made: Kernel, steps: int = STEPS) -> Block:
    """The block of SEEDS."""
    task, columns = case.task, numbers_of(case.recipe, steps)
    batch = None
    if hasattr(task, "noise"):
        columns += [np.full(steps, scale) for scale in task.scales]
    else:
        parts = [part.reshape(-1).numpy() for part in task.draw(torch.Generator(), 1)]
        batch = made.array(made.own_size, LANES)
        batch[:] = np.concatenate(parts)[:, None]
    numbers = made.array(steps, len(columns))
    numbers[:] = np.stack(columns, 1)
    seeds = np.array([seed_of(DATA, seed) for seed in SEEDS], np.uint32)
    return Block(made.state(untrained(case)), numbers, batch, seeds)


def advanced(made: Kernel, given: Block, calls: Sequence[int] | None = None, ahead: int = 3) -> np.ndarray:
    """The state of a block after its steps, and their losses below it.

    Args:
        calls: the steps of each call of C; one for all, if not given.
        ahead: of how many steps the data is drawn at once.
    """
    calls = [len(given.numbers)] if calls is None else calls
    work, state = Work(made), made.array(*given.state.shape)
    state[:] = given.state
    losses = made.array(len(given.numbers), LANES)
    streams, drawn = Streams(made, given.seeds.tolist()), made.array(ahead * made.own_size, LANES)
    done = 0
    for steps in calls:
        numbers, now = given.numbers[done : done + steps], losses[done : done + steps]
        if given.batch is None:
            made.advance(streams, drawn, ahead, [(state, numbers, now)], work)
        else:
            made.train(state, given.batch, 0, numbers, now, work)
        done += steps
    return np.concatenate([state, losses])


PROGRAM = """
/* Trains a block that is read, and writes what becomes of it. */
static V state_[STATE], batch_[BATCH], losses_[STEPS], work_[WORK];
static REAL numbers_[STEPS * NUMBERS];
static U stream_[624];
static unsigned seeds_[16];
void *place(int k) {
  void *places[] = {state_, numbers_, batch_, seeds_, losses_};
  return places[k];
}
void run(void) {
#if DRAWN
  V *states[] = {state_}, *losses[] = {losses_};
  const REAL *numbers[] = {numbers_};
  seed(stream_, seeds_);
  advance(stream_, 624, batch_, BATCH, 1, 1, states, numbers, losses, NUMBERS, work_, STEPS);
#else
  train(state_, batch_, 0, 0, 0, numbers_, losses_, work_, STEPS);
#endif
}
#ifdef ALONE
__PTRDIFF_TYPE__ read(int, void *, __SIZE_TYPE__), write(int, const void *, __SIZE_TYPE__);
int main(void) {
  unsigned long sizes[] = {sizeof state_, sizeof numbers_, sizeof batch_, sizeof seeds_};
  for (int k = 0; k < 4; k++)
    for (unsigned long at = 0, got; at < sizes[k]; at += got)
      if ((got = read(0, (char *)place(k) + at, sizes[k] - at)) + 1 <= 1) return 1;
  run();
  return write(1, state_, sizeof state_) != sizeof state_ || write(1, losses_, sizeof losses_) != sizeof losses_;
}
#endif
"""
NODE = """
const fs = require("fs"), [path, numbers, lanes, losses] = process.argv.slice(1)
WebAssembly.instantiate(fs.readFileSync(path), {}).then(({instance: {exports: e}}) => {
  const given = fs.readFileSync(0), memory = new Uint8Array(e.memory.buffer)
  let at = 0
  JSON.parse(numbers).forEach((size, k) => (memory.set(given.subarray(at, at + size), e.place(k)), at += size))
  e.run()
  const part = (k, size) => Buffer.from(memory.slice(e.place(k), e.place(k) + Number(size)))
  fs.writeSync(1, Buffer.concat([part(0, lanes), part(4, losses)]))
})
"""


def program(made: Kernel, given: Block) -> str:
    """The C of a kernel and what reads a block, trains it and writes it."""
    sizes = {"STATE": made.state_size, "BATCH": made.own_size, "WORK": made.scratch_size + 1}
    sizes |= {"STEPS": len(given.numbers), "NUMBERS": len(made.numbers), "DRAWN": int(given.batch is None)}
    return made.source + "\n".join(f"#define {name} {size}" for name, size in sizes.items()) + PROGRAM


def parts(made: Kernel, given: Block) -> list[bytes]:
    """What the program reads."""
    batch = made.array(made.own_size, LANES) if given.batch is None else given.batch
    return [part.tobytes() for part in (given.state, given.numbers, batch, given.seeds)]


def outcome(command: Sequence[str], made: Kernel, given: Block) -> np.ndarray:
    """What `advanced` returns, from a program."""
    read = b"".join(parts(made, given))
    written = subprocess.run(command, input=read, stdout=subprocess.PIPE, check=True, timeout=600).stdout
    return np.frombuffer(written, np.float32).reshape(-1, LANES)


def in_node(module: bytes, made: Kernel, given: Block, folder: Path) -> np.ndarray:
    """The same from WebAssembly."""
    path = folder / f"{hashlib.sha256(module).hexdigest()[:16]}.wasm"
    path.write_bytes(module)
    sizes = json.dumps([len(part) for part in parts(made, given)])
    written = [str(4 * LANES * rows) for rows in (len(given.state), len(given.numbers))]
    return outcome(["node", "-e", NODE, str(path), sizes, *written], made, given)


# Machines.


@dataclass(frozen=True)
class Machine:
    """A compiler and what runs its programs.

    Attributes:
        compile: its command, without the source.
        run: what goes in front of the program.
        needs: commands, and how to get them.
    """

    compile: Sequence[str] = ()
    run: Sequence[str] = ()
    needs: Mapping[str, str] = field(default_factory=dict)

    def missing(self) -> list[str]:
        return [how for command, how in self.needs.items() if shutil.which(command) is None]


def zig(*options: str) -> list[str]:
    import ziglang

    return [str(Path(ziglang.__file__).with_name("zig")), "cc", *CLANG, "-fno-sanitize=undefined", *options]


def machines() -> dict[str, Machine]:
    """By name, all that this one can be or seem."""
    found = {}
    if X86:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
        needed = {"x86_64": "", "x86_64_v3": "avx2", "x86_64_v4": "avx512vl"}
        targets = [target for target, flag in needed.items() if flag in flags]
        found |= {f"zig, {target}": Machine(zig(f"-mcpu={target}")) for target in targets}
    found["zig -O0"] = Machine(zig("-O0"))
    found["zig -O1"] = Machine(zig("-Xclang", "-O1", "-mcpu=native"))
    gcc = {"gcc": "gcc: apt-get install gcc"}
    option = "-march=native" if X86 else "-mcpu=native"
    found["gcc -O0"] = Machine(["gcc", "-O0"], needs=gcc)  # of AVX-512, gcc 12 has no instructions without -O
    found |= {f"gcc -O{level}": Machine(["gcc", f"-O{level}", option], needs=gcc) for level in (1, 2, 3)}
    for name, processor in {"arm64": "aarch64", "riscv64": "riscv64"}.items():
        emulator = f"qemu-{processor}"
        needs = {emulator: f"{emulator}: apt-get install qemu-user"}
        found[name] = Machine(zig("-target", f"{processor}-linux-musl", "-static"), [emulator], needs)
    found["node"] = Machine(needs={"node": "node: apt-get install nodejs"})
    return found


def made_by(machine: Machine, case: Case, folder: Path) -> str:
    """Whether a machine gives the bits of this process: "same", "differs", or what went wrong."""
    made = kernel(case)
    given = block(case, made)
    source = program(made, given)
    try:
        if not machine.compile:
            got = in_node(wasm(source, ["place", "run"]), made, given, folder)
        else:
            name = hashlib.sha256("\0".join([*machine.compile, source]).encode()).hexdigest()[:16]
            path = folder / f"{name}.c"
            path.write_text(source, encoding="utf-8")
            flags = [flag for flag in FLAGS if not flag.startswith("-O") or not any("-O" in o for o in machine.compile)]
            command = [*machine.compile, *flags, "-DALONE", "-o", str(folder / name), str(path)]
            subprocess.run(command, check=True, capture_output=True, timeout=600)
            got = outcome([*machine.run, str(folder / name)], made, given)
    except (subprocess.SubprocessError, OSError, RuntimeError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").splitlines()
        print(case.name, error, *[line for line in said if "error" in line][:1], sep=": ", file=sys.stderr)
        return "failed"
    return "same" if np.array_equal(bits(got), bits(advanced(made, given))) else "differs"


def compare(names: Sequence[str] | None = None) -> bool:
    """Print what each machine makes of each case; whether all is the same, and as it is stored."""
    found = {name: machine for name, machine in machines().items() if names is None or name in names}
    for name, machine in list(found.items()):
        if missing := machine.missing():
            print(f"{name} is left out, for it needs {', '.join(missing)}")
            del found[name]
    stored = json.loads(STORED.read_text(encoding="utf-8"))["bits"] if STORED.exists() else {}
    width = max(map(len, CASES))
    print(f"{STEPS:,} steps of {LANES} replicas each, against this machine ({platform.machine()}):")
    print(" " * width, "stored", *found, sep="  ")
    good = True
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        for case in CASES.values():
            own = "same" if hashes(case) == stored.get(case.name) else "differs"
            rest = list(pool.map(partial(made_by, case=case, folder=Path(folder)), found.values()))
            row = [word.rjust(len(name)) for word, name in zip([own, *rest], ["stored", *found], strict=True)]
            print(case.name.ljust(width), *row, sep="  ", flush=True)
            good &= {own, *rest} == {"same"}
    return good


def write() -> None:
    """What this machine makes of the cases, into the file that tests compare with."""
    found = {name: hashes(case) for name, case in CASES.items()}
    content = {"command": COMMAND, "steps": STEPS, "seeds": len(SEEDS), "bits": found}
    STORED.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="store the bits of this machine")
    parser.add_argument("machines", nargs="*", help="only these")
    arguments = parser.parse_args()
    os.environ |= {"NALU_ENGINE": "native", "TQDM_DISABLE": "1"}
    if arguments.write:
        write()
    elif not compare(arguments.machines or None):
        raise SystemExit("not all machines give the same bits")


if __name__ == "__main__":
    main()

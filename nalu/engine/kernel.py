"""A model in C: its training step, its outputs and its measures, for sixteen replicas at a time."""

import ctypes
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from nalu.engine.compiler import library
from nalu.engine.emitter import HEADERS, LANES, Emitter
from nalu.engine.optimisers import optimiser
from nalu.engine.step import Examples, holding, names, training_step
from nalu.engine.tracing import Unknown, trace
from nalu.recipe import Recipe

TILE = 64
"""Points of a test set whose outputs are computed together."""

POINTER, LONG, INT = ctypes.c_void_p, ctypes.c_long, ctypes.c_int


def array(*shape: int, dtype: type) -> np.ndarray:
    """Zeros that start where a vector may: at a multiple of 64 bytes."""
    size = math.prod(shape)
    room = np.zeros(size + 64, dtype)
    start = -room.ctypes.data // room.itemsize % (64 // room.itemsize)
    return room[start : start + size].reshape(shape)


ADVANCE = Path(__file__).with_name("advance.h").read_text(encoding="utf-8")
"""C that calls a network's step."""


@dataclass(frozen=True)
class Layout:
    """What a step is given besides the state.

    Attributes:
        batch: tensors of a step's batch for one replica: inputs and targets, or the numbers that they are made of.
        shared: whether all replicas train on the same batch.
        numbers: names of the numbers behind the recipe's, such as the ends of a range.
        examples: what makes inputs and targets of the batch and these numbers; the batch itself, if not given.
    """

    batch: Sequence[Tensor]
    shared: bool = False
    numbers: Sequence[str] = ()
    examples: Examples | None = None


class Kernel:
    """The C functions of one network, compiled.

    Args:
        network: of which only what its parameters hold does not matter.
        recipe: of its training.
        layout: of its batch.
        inputs: what it is tested on: a set of points for each shape of a point.
        measures: functions of the network that return a number.
        dtype: float32, or float64 to compare trajectories.
        target, compiler: see `nalu.engine.compiler.library`.

    Attributes:
        source: its C.
        body: the part of it that was made for this network.
        numbers: names of the numbers of a step, in their order.
        outputs: by the shape of a point, how many outputs there are; without the shapes that C is not known for.
        measures: the names of the measures that C is known for.

    Raises:
        Unknown: an operation that has no C here.
        NoCompiler, CompilerFailed: see `nalu.engine.compiler`.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        layout: Layout,
        *,
        inputs: Sequence[Tensor] = (),
        measures: Mapping[str, Callable[[nn.Module], Tensor]] | None = None,
        dtype: torch.dtype = torch.float32,
        target: str = "native",
        compiler: str | None = None,
    ) -> None:
        self.single = dtype == torch.float32
        self.dtype = np.float32 if self.single else np.float64
        self._target, self._compiler = target, compiler
        self._library: ctypes.CDLL | None = None
        self.names = [name for name, _ in network.named_parameters()]
        parameters = [p.detach().to(dtype) for p in network.parameters()]
        self.sizes = [p.numel() for p in parameters]
        self.parameters = sum(self.sizes)
        self.moments = optimiser(recipe.optimizer).moments
        functions = [self._train(network, recipe, layout, parameters)]
        self.outputs: dict[tuple[int, ...], int] = {}
        for x in inputs:
            if x.shape[1:] not in self.outputs:
                with suppress(Unknown):
                    functions.append(self._predict(network, x, parameters))
        self.measures: list[str] = []
        for name, measure in (measures or {}).items():
            with suppress(Unknown):
                functions.append(self._measure(network, measure, parameters))
                self.measures.append(name)
        self.body = "\n\n".join(functions) + "\n"
        self.source = "\n".join([f"#define SINGLE {int(self.single)}", *HEADERS, self.body, ADVANCE])

    def _train(self, network: nn.Module, recipe: Recipe, layout: Layout, parameters: list[Tensor]) -> str:
        batch = [part.to(parameters[0].dtype) if part.is_floating_point() else part for part in layout.batch]
        self.numbers = [*names(recipe), *layout.numbers]
        network.train()
        graph = trace(
            training_step(network, recipe, layout.examples),
            parameters,
            [[torch.full_like(p, start) for start in self.moments] for p in parameters],
            batch,
            [torch.tensor(0.5, dtype=parameters[0].dtype) for _ in self.numbers],
        )
        network.eval()
        moments = [f"{letter}_{name}" for name in self.names for letter in "mv"[: len(self.moments)]]
        data = ["noise"] if len(batch) == 1 else ["x", "y"]
        emitter = Emitter(
            graph,
            state=[*self.names, *moments],
            **{"shared" if layout.shared else "own": data},
            numbers=self.numbers,
            updated=len(self.names) + len(moments),
            batch=batch[0].shape[0],
            single=self.single,
        )
        self.state_size, self.scratch_size = emitter.state_size, emitter.scratch_size
        self.own_size, self.shared_size = emitter.own_size, emitter.shared_size
        return emitter.emit("train")

    def _predict(self, network: nn.Module, inputs: Tensor, parameters: list[Tensor]) -> str:
        if not len(inputs):
            raise Unknown("no points")
        dtype = parameters[0].dtype
        x = inputs.to(dtype) if inputs.is_floating_point() else inputs
        x = torch.cat([x] * (1 + TILE // len(x)))[:TILE]

        def predict(parameters: list[Tensor], x: Tensor) -> Tensor:
            with holding(network, parameters):
                return network(x).detach()

        with torch.no_grad():
            whole, half = predict(parameters, x), predict(parameters, x[: TILE // 2])
        if not torch.allclose(whole[: TILE // 2], half, rtol=1e-4, atol=1e-6, equal_nan=True):
            raise Unknown("outputs that depend on the other examples of a batch")
        emitter = Emitter(trace(predict, parameters, x), state=self.names, shared=["x"], batch=TILE, single=self.single)
        k = len(self.outputs)
        self.outputs[tuple(x.shape[1:])] = whole[0].numel()
        self.scratch_size = max(self.scratch_size, emitter.scratch_size)
        return f"{emitter.emit(f'predict_{k}')}\n\nTEST({k}, {TILE}, {x[0].numel()}, {whole[0].numel()})"

    def _measure(self, network: nn.Module, measure: Callable, parameters: list[Tensor]) -> str:
        def measured(parameters: list[Tensor]) -> Tensor:
            with holding(network, parameters):
                return measure(network).detach()

        emitter = Emitter(trace(measured, parameters), state=self.names, single=self.single)
        if emitter.out_size != 1:
            raise Unknown(f"a measure of {emitter.out_size} numbers")
        self.scratch_size = max(self.scratch_size, emitter.scratch_size)
        return emitter.emit(f"measure_{len(self.measures)}")

    def __getstate__(self) -> dict[str, object]:
        """What travels to other processes: all but the compiled library."""
        return {name: value for name, value in vars(self).items() if name != "_functions"} | {"_library": None}

    @property
    def library(self) -> ctypes.CDLL:
        """The functions, compiled at the first use."""
        if self._library is None:  # before Python 3.12, a cached_property would let one kernel compile at a time
            path = library(self.source, single=self.single, target=self._target, compiler=self._compiler)
            self._library = ctypes.CDLL(str(path))
        return self._library

    @cached_property
    def _functions(self) -> dict[str, Callable]:
        step = [POINTER, POINTER, LONG, POINTER, LONG, POINTER, POINTER, POINTER, LONG]
        types = {"train": step, **{f"measure_{k}": step for k in range(len(self.measures))}}
        types["seed"] = [POINTER, POINTER]
        types["below"] = [POINTER, INT, POINTER, LONG, ctypes.c_uint]
        types["take"] = [POINTER, LONG, LONG, POINTER, INT, POINTER, LONG]
        types["uniform"] = [POINTER, INT, POINTER, LONG]
        types["advance"] = [POINTER, INT, POINTER, LONG, LONG, LONG, POINTER, POINTER, POINTER, LONG, POINTER, LONG]
        for k in range(len(self.outputs)):
            types[f"predict_{k}"] = step
            types[f"test_{k}"] = [POINTER, POINTER, POINTER, LONG, INT, POINTER, POINTER, POINTER]
        functions = {}
        for name, arguments in types.items():
            functions[name] = function = getattr(self.library, name)
            function.argtypes, function.restype = arguments, INT if name in ("uniform", "below", "advance") else None
        return functions

    def array(self, *shape: int) -> np.ndarray:
        """Zeros in the kernel's precision."""
        return array(*shape, dtype=self.dtype)

    def state(self, columns: np.ndarray) -> np.ndarray:
        """The state of up to sixteen untrained networks, given their parameters; the last one fills what is left."""
        state = self.array(self.state_size, LANES)
        state[: self.parameters] = columns[:, np.minimum(np.arange(LANES), columns.shape[1] - 1)]
        at = self.parameters
        for size in self.sizes:
            for start in self.moments:
                state[at : at + size] = start
                at += size
        return state

    def train(
        self, state: np.ndarray, batch: np.ndarray, stride: int, numbers: np.ndarray, losses: np.ndarray, work: "Work"
    ) -> None:
        """Do as many steps as there are rows of numbers.

        Args:
            state: (numbers of the state, 16), changed in place.
            batch: what the first step trains on, (numbers, 16) or, where it is shared, (numbers).
            stride: from a step's batch to the next one's, in rows; 0 for the same in all of them.
            numbers: (steps, numbers of a step).
            losses: (steps, 16), filled with each step's loss before its update.
        """
        steps = len(numbers)
        own, shared = (0, batch.ctypes.data) if self.shared_size else (batch.ctypes.data, 0)
        at = numbers.ctypes.data, losses.ctypes.data, work.scratch.ctypes.data
        self._functions["train"](state.ctypes.data, own, stride, shared, stride, *at, steps)

    def advance(
        self,
        streams: "Streams",
        drawn: np.ndarray,
        ahead: int,
        blocks: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
        work: "Work",
    ) -> None:
        """Train several blocks on the same random numbers.

        Args:
            streams: where they come from.
            drawn: room for the numbers of so many steps as are drawn `ahead`; those of the last ones are left in it.
            blocks: state, numbers and losses of each, as for `train`.
        """
        pointers = [
            (POINTER * len(blocks))(*(part.ctypes.data for part in parts)) for parts in zip(*blocks, strict=True)
        ]
        steps = len(blocks[0][1])
        streams.position = self._functions["advance"](
            streams.words.ctypes.data, streams.position, drawn.ctypes.data, self.own_size, ahead, len(blocks),
            *pointers, len(self.numbers), work.scratch.ctypes.data, steps,
        )  # fmt: skip

    def take(self, rows: np.ndarray, pool: np.ndarray, out: np.ndarray, steps: int, stride: int) -> None:
        """Fill batches with rows of a pool.

        Args:
            rows: which, (steps times batch, 16), of uint32.
            pool: (points, numbers of a point), contiguous.
            out: the first number of the first batch, and those behind it, (numbers, 16).
            stride: from one step to the next.
        """
        at = rows.ctypes.data, steps, len(rows) // steps, pool.ctypes.data, pool.shape[1], out.ctypes.data, stride
        self._functions["take"](*at)

    def points(self, x: Tensor, y: Tensor) -> "Points":
        """A test set as C reads it.

        Raises:
            KeyError: C is not known for points of this shape.
        """
        shape = tuple(x.shape[1:])
        outputs = self.outputs[shape]
        inputs, targets = self.array(len(x) + TILE, math.prod(shape)), self.array(len(x), outputs)
        inputs[: len(x)], targets[:] = x.reshape(len(x), -1).numpy(), y.reshape(len(y), -1).numpy()
        inputs[len(x) :] = inputs[0]
        return Points(list(self.outputs).index(shape), inputs, targets)

    def errors(self, state: np.ndarray, points: "Points", squared: bool, work: "Work") -> np.ndarray:
        """Each replica's mean absolute or squared error, in float64."""
        at = [held.ctypes.data for held in (state, points.x, points.y)]
        more = [held.ctypes.data for held in (work.tile, work.scratch, work.sums)]
        self._functions[f"test_{points.k}"](*at, len(points.y), int(squared), *more)
        return work.sums / points.y.size

    def predict(self, state: np.ndarray, points: "Points", work: "Work") -> np.ndarray:
        """Each replica's outputs, (points, outputs, 16)."""
        tiles, width = -(-len(points.y) // TILE), TILE * points.x.shape[1]
        out = self.array(tiles * TILE, points.y.shape[1], LANES)
        at = 0, 0, points.x.ctypes.data, width, 0, out.ctypes.data, work.scratch.ctypes.data
        self._functions[f"predict_{points.k}"](state.ctypes.data, *at, tiles)
        return out[: len(points.y)]

    def measure(self, state: np.ndarray, name: str, work: "Work") -> np.ndarray:
        """A measure of each replica."""
        k = self.measures.index(name)
        at = 0, 0, 0, 0, 0, work.tile.ctypes.data, work.scratch.ctypes.data
        self._functions[f"measure_{k}"](state.ctypes.data, *at, 1)
        return work.tile[0].copy()


@dataclass(frozen=True)
class Points:
    """A test set as C reads it.

    Attributes:
        k: the number of the C function that takes it.
        x: (points and a tile more, numbers of a point).
        y: (points, outputs).
    """

    k: int
    x: np.ndarray
    y: np.ndarray


class Work:
    """Memory that a thread computes in."""

    def __init__(self, kernel: Kernel) -> None:
        self.scratch = kernel.array(kernel.scratch_size + 1, LANES)
        self.tile = kernel.array(TILE * max(kernel.outputs.values(), default=1), LANES)
        self.sums = array(LANES, dtype=np.float64)


class Streams:
    """Sixteen streams of random numbers: lane l has those of `torch.rand` with the generator of seeds[l]."""

    def __init__(self, kernel: Kernel, seeds: Sequence[int]) -> None:
        self.kernel, self.position = kernel, 624
        self.words = array(624, LANES, dtype=np.uint32)
        start = array(LANES, dtype=np.uint32)
        start[:] = [seeds[min(lane, len(seeds) - 1)] for lane in range(LANES)]
        kernel._functions["seed"](self.words.ctypes.data, start.ctypes.data)

    def fill(self, numbers: np.ndarray) -> None:
        """The next numbers, uniform in [0, 1), into the rows of an array."""
        uniform = self.kernel._functions["uniform"]
        self.position = uniform(self.words.ctypes.data, self.position, numbers.ctypes.data, len(numbers))

    def below(self, high: int, numbers: np.ndarray) -> None:
        """The next whole numbers, as `torch.randint(high)` draws them, into an array of uint32."""
        below = self.kernel._functions["below"]
        self.position = below(self.words.ctypes.data, self.position, numbers.ctypes.data, len(numbers), high)

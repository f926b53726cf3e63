"""Many independent copies of a network as one tensor program."""

import copy
import inspect
import io
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FunctionType

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import vmap

from nalu import checks
from nalu.engine.step import holding
from nalu.training.stacked import StackedOperations

Build = Callable[..., nn.Module]
"""Makes one network. It is called with `generator=`, to draw initial parameters from, where it takes that; else with
nothing, and draws from torch's global generator."""

Inputs = Float[Tensor, "..."] | Int[Tensor, "..."]
"""Numbers (batch, in), sequences of them (batch, time, in), or tokens (batch, word); behind an axis of replicas where
each has its own."""

FORMAT = "nalu.replicas.1"

GLOBAL = threading.RLock()
"""Held by who seeds torch's global generator, of which there is one for all threads."""

OF_EVERY_MODULE = frozenset(vars(nn.Module()))


def build(make: Build, seed: int) -> nn.Module:
    """The network that `make` makes from a seed.

    Raises:
        TypeError: it needs other arguments than a generator.
    """
    with GLOBAL, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's alone: torch.manual_seed would change all devices'
        try:
            known = inspect.signature(make)
        except (TypeError, ValueError):  # some classes written in C tell nothing
            return make()
        own = {"generator": torch.Generator().manual_seed(seed)} if "generator" in known.parameters else {}
        try:
            known.bind(**own)
        except TypeError as error:
            raise TypeError(
                f"expected what makes a network from generator=..., or from nothing, got {make!r}: {error}"
            ) from error
        return make(**own)


class Replicas:
    """R networks side by side, each as if it were alone.

    Their parameters are one tensor, `state`, of shape (parameters of a network, R): replicas are the last axis (see
    `nalu.training.stacked`). Networks must be equal in everything but the values of their parameters.

    Args:
        networks: at least one module, without buffers.

    Raises:
        ValueError: no network; networks of different make, without parameters, or with buffers.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        checks.at_least(len(networks), 1, "number of replicas")
        _alike(networks)
        self._become(networks[0])
        if not self.shapes:
            raise ValueError(f"replicas need networks with parameters, got {type(networks[0]).__name__}")
        columns = [nn.utils.parameters_to_vector(network.parameters()).detach() for network in networks]
        self.state: Float[Tensor, "parameter replica"] = torch.stack(columns, 1)

    def _become(self, network: nn.Module) -> None:
        if names := [name for name, _ in network.named_buffers()]:
            raise ValueError(f"replicas need networks without buffers, got {', '.join(names)}")
        self.network = copy.deepcopy(network).requires_grad_(False).eval()  # only a training step is in training mode
        self.shapes = {name: p.shape for name, p in self.network.named_parameters()}

    @classmethod
    def build(cls, make: Build, seeds: Iterable[int]) -> "Replicas":
        """One replica a seed."""
        return cls([build(make, seed) for seed in seeds])

    def of(self, state: Float[Tensor, "parameter replica"]) -> "Replicas":
        """Replicas of the same make with other parameters, and as many as there are columns of these."""
        other = object.__new__(Replicas)
        other._become(self.network)
        other.state = state
        return other

    def __len__(self) -> int:
        return self.state.shape[1]

    def parameters(self) -> dict[str, Float[Tensor, "replica ..."]]:
        """Views into the state, by the names they have in the network, with the replica axis first."""
        parts = self.state.split([shape.numel() for shape in self.shapes.values()])
        return {
            n: p.unflatten(0, s or (1,)).movedim(-1, 0).reshape(-1, *s)
            for (n, s), p in zip(self.shapes.items(), parts, strict=True)
        }

    def __call__(self, x: Inputs, *, own: bool = False) -> Float[Tensor, "replica batch out"]:
        """Every replica's output, on inputs that all share or on its own, without gradients.

        Args:
            own: whether each replica has inputs of its own, along the first axis of x.
        """
        if own and len(x) != len(self):
            raise ValueError(f"expected inputs for {len(self)} replicas, got {len(x)}")

        def call(parameters: list[Tensor], x: Tensor) -> Tensor:
            with holding(self.network, parameters):
                return self.network(x)

        with torch.no_grad(), StackedOperations():
            return vmap(call, (0, 0 if own else None))(list(self.parameters().values()), x)

    def each(self, function: Callable[[nn.Module], Tensor]) -> Float[Tensor, "replica ..."]:
        """A function of the network, such as its penalty, for every replica.

        Args:
            function: gets the network with the parameters of one replica, under vmap, and returns a tensor.
        """

        def call(parameters: list[Tensor]) -> Tensor:
            with holding(self.network, parameters):
                return function(self.network)

        with StackedOperations():
            return vmap(call)(list(self.parameters().values()))

    def __getitem__(self, r: int) -> nn.Module:
        """Replica r as an ordinary module of its own."""
        r = range(len(self))[r]  # raises IndexError, and counts from the end where r is negative
        network = copy.deepcopy(self.network).to(self.state)
        own = self.parameters()
        with torch.no_grad():
            for name, p in network.named_parameters():  # load_state_dict would miss the second name of a tied one
                p.copy_(own[name][r])
        return network.requires_grad_()

    def take(self, start: int, stop: int) -> "Replicas":
        """The replicas from start up to stop, as a stack of their own."""
        if not 0 <= start < stop <= len(self):
            raise IndexError(f"expected 0 <= start < stop <= {len(self)}, got {start} and {stop}")
        return self.of(self.state[:, start:stop].clone(memory_format=torch.contiguous_format))

    @classmethod
    def join(cls, parts: Sequence["Replicas"]) -> "Replicas":
        """The replicas of several stacks as one, in their order: all are called at once, which is faster.

        Raises:
            ValueError: no parts; networks that differ in more than the values of their parameters.
        """
        checks.at_least(len(parts), 1, "number of stacks")
        _alike([part.network for part in parts])
        return parts[0].of(torch.cat([part.state for part in parts], 1))

    def to(self, *args: torch.dtype | torch.device | str) -> "Replicas":
        """Move the state to a dtype or a device, in place, as `nn.Module.to` does."""
        self.state = self.state.to(*args)
        return self

    def save(self, path: str | Path) -> None:
        """Write the parameters. An existing file is replaced in one step, so it is never half a file.

        Raises:
            FileNotFoundError: the folder does not exist.
        """
        path = checks.writable(path)
        draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
        try:
            torch.save({"format": FORMAT, **self._layout(), "state": self.state}, draft)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)

    def _layout(self) -> dict:
        """What a file must share with these replicas for its numbers to mean the same in them."""
        return {
            "count": len(self),
            "modules": [[len(self), *(type(module).__name__ for module in self.network.modules())]],
            "parameters": {name: tuple(shape) for name, shape in self.shapes.items()},
        }

    def load(self, path: str | Path) -> "Replicas":
        """Take the parameters from a file that `save` wrote for replicas of the same kind and number, and return self.

        Raises:
            FileNotFoundError: there is no file.
            ValueError: the file is not one of ours, was cut short, or holds other networks; nothing is changed then.
        """
        content = io.BytesIO(Path(path).read_bytes())  # what goes wrong after this is the content's fault
        try:
            held = torch.load(content, map_location=self.state.device, weights_only=True)
        except Exception as error:  # whatever the reader makes of bytes that mean something else
            raise ValueError(f"expected a whole file written by Replicas.save, got {path}: {error}") from error
        if not isinstance(held, dict) or held.get("format") != FORMAT:
            raise ValueError(f"expected a file written by Replicas.save ({FORMAT}), got {path}")
        for what, expected in self._layout().items():
            if held.get(what) != expected:
                raise ValueError(f"expected replicas whose {what} is {expected}, got {held.get(what)} in {path}")
        self.state = held["state"].to(self.state)
        return self


def _alike(networks: Sequence[nn.Module]) -> None:
    kind = _kind(networks[0])
    if any(_kind(other) != kind for other in networks[1:]):
        described = ", ".join(sorted({type(network).__name__ for network in networks}))
        raise ValueError(f"expected networks of one kind, got {described} of different make")


def _kind(network: nn.Module) -> tuple:
    """Networks of one kind differ in nothing but the values of their parameters."""
    shapes = tuple((name, p.shape) for name, p in network.named_parameters())
    return type(network), repr(network), shapes, tuple(_settings(module) for module in network.modules())


def _settings(module: nn.Module) -> tuple:
    """What a module holds besides its parameters. A reader's own module need not tell that in `extra_repr`."""
    return tuple((name, _text(value)) for name, value in sorted(vars(module).items()) if name not in OF_EVERY_MODULE)


def _text(value: object) -> str:
    if isinstance(value, Tensor):
        return repr(value.tolist())
    if isinstance(value, FunctionType):  # a lambda is another object in each network, but of the same code
        held = [_text(cell.cell_contents) for cell in value.__closure__ or ()]
        return repr((hash(value.__code__), value.__defaults__, held))
    return type(value).__qualname__ if type(value).__repr__ is object.__repr__ else repr(value)

"""Many independent copies of a network as one tensor program."""

import copy
import io
import os
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from types import FunctionType

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, vmap

from nalu import checks
from nalu.stacked import ByReplica, StackedOperations, rows

Build = Callable[[torch.Generator], nn.Module]
"""Makes one network, drawing its initial parameters from the generator."""

Inputs = Float[Tensor, "..."] | Int[Tensor, "..."]
"""Numbers (batch, in), sequences of them (batch, time, in), or tokens (batch, word); behind an axis of replicas where
each has its own."""

FORMAT = "nalu.replicas.1"

GLOBAL = threading.Lock()
"""Held by who seeds torch's global generator, of which there is one for all threads."""

OF_EVERY_MODULE = frozenset(vars(nn.Module()))


def build(make: Build, seed: int) -> nn.Module:
    """The network that `make` makes from a seed. Also torch's global one is seeded, for modules that know no other."""
    with GLOBAL, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's alone: torch.manual_seed would change all devices'
        return make(torch.Generator().manual_seed(seed))


class Replicas:
    """R networks side by side, each as if it were alone.

    Their parameters are one tensor, `state`, of shape (parameters of a network, R): replicas are the last axis (see
    `nalu.stacked`). Networks may differ in their leaves without children, such as the activation, if equal ones are
    neighbours; in everything else, but the values of their parameters, they must be equal.

    Args:
        networks: at least one module, without buffers.

    Raises:
        ValueError: no network; networks with different parameters, with none, or with buffers.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        checks.at_least(len(networks), 1, "number of replicas")
        groups = [list(group) for _, group in groupby(networks, key=_kind)]
        self._become([copy.deepcopy(group[0]) for group in groups], [len(group) for group in groups])
        if not self.shapes:
            raise ValueError(f"replicas need networks with parameters, got {type(networks[0]).__name__}")
        columns = []
        for network in networks:
            own = dict(network.named_parameters())
            columns.append(torch.cat([own.get(n, torch.zeros(s)).detach().reshape(-1) for n, s in self.shapes.items()]))
        self.state: Float[Tensor, "parameter replica"] = torch.stack(columns, 1)

    def _become(self, templates: Sequence[nn.Module], counts: Sequence[int]) -> None:
        self.templates, self.counts = list(templates), list(counts)
        for template in templates:
            template.requires_grad_(False).eval()  # only a training step is in training mode
            if names := [name for name, _ in template.named_buffers()]:
                raise ValueError(f"replicas need networks without buffers, got {', '.join(names)}")
        self.network = _merge(templates, counts).eval()
        self.shapes = {name: p.shape for name, p in self.network.named_parameters()}
        names = {id(p): name for name, p in self.network.named_parameters()}
        self.places = {  # of a parameter that two modules share, both; of a module with two paths, one
            f"{path}.{name}" if path else name: names[id(p)]
            for path, module in self.network.named_modules()
            for name, p in module.named_parameters(recurse=False)
        }

    @classmethod
    def build(cls, make: Build, seeds: Iterable[int]) -> "Replicas":
        """One replica a seed."""
        return cls([build(make, seed) for seed in seeds])

    def __len__(self) -> int:
        return self.state.shape[1]

    def parameters(self) -> dict[str, Float[Tensor, "replica ..."]]:
        """Views into the state, by the names they have in the network, with the replica axis first."""
        return unpack(self.state, self.shapes)

    def __call__(self, x: Inputs, *, own: bool = False) -> Float[Tensor, "replica batch out"]:
        """Every replica's output, on inputs that all share or on its own, without gradients."""
        with torch.no_grad():
            return self.forward(self.parameters(), x, own=own)

    def forward(
        self,
        parameters: dict[str, Tensor],
        x: Inputs,
        *,
        own: bool,
    ) -> Float[Tensor, "replica batch out"]:
        """The stacked networks as a function of their parameters.

        Args:
            own: whether each replica has inputs of its own, along the first axis of x.
        """
        if own and len(x) != len(self):
            raise ValueError(f"expected inputs for {len(self)} replicas, got {len(x)}")

        def call(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
            held = {place: parameters[name] for place, name in self.places.items()}
            # torch's own way with ties would leave a tensor of vmap's behind in a module that has two paths.
            return functional_call(self.network, held, (x,), tie_weights=False)

        with StackedOperations():
            return vmap(call, (0, 0 if own else None))(parameters, x)

    def each(
        self, function: Callable[[nn.Module], Tensor], parameters: dict[str, Tensor] | None = None
    ) -> Float[Tensor, "replica ..."]:
        """A function of the network, such as its penalty, for every replica.

        Args:
            function: gets the network with the parameters of one replica, under vmap, and returns a tensor.
            parameters: the replicas' own unless given.
        """
        network = Calling(self.network, function)

        def call(parameters: dict[str, Tensor]) -> Tensor:
            held = {f"network.{place}": parameters[name] for place, name in self.places.items()}
            return functional_call(network, held, (), tie_weights=False)

        with StackedOperations():
            return vmap(call)(self.parameters() if parameters is None else parameters)

    def __getitem__(self, r: int) -> nn.Module:
        """Replica r as an ordinary module of its own."""
        r = range(len(self))[r]  # raises IndexError, and counts from the end where r is negative
        network = copy.deepcopy(self.templates[bisect_right(list(accumulate(self.counts)), r)]).to(self.state)
        own = self.parameters()
        with torch.no_grad():
            for name, p in network.named_parameters():  # load_state_dict would miss the second name of a tied one
                p.copy_(own[name][r])
        return network.requires_grad_()

    def take(self, start: int, stop: int) -> "Replicas":
        """The replicas from start up to stop, as a stack of their own."""
        if not 0 <= start < stop <= len(self):
            raise IndexError(f"expected 0 <= start < stop <= {len(self)}, got {start} and {stop}")
        ends = list(accumulate(self.counts))
        overlaps = [min(stop, end) - max(start, end - n) for n, end in zip(self.counts, ends, strict=True)]
        part = object.__new__(Replicas)
        part._become(*zip(*((t, n) for t, n in zip(self.templates, overlaps, strict=True) if n > 0), strict=True))
        own = self.parameters()
        part.state = torch.cat([rows(own[name][start:stop]).reshape(-1, stop - start) for name in part.shapes])
        return part

    @classmethod
    def join(cls, parts: Sequence["Replicas"]) -> "Replicas":
        """The replicas of several stacks as one, in their order: all are called at once, which is faster.

        Raises:
            ValueError: no parts; networks that differ in more than the values of their parameters.
        """
        checks.at_least(len(parts), 1, "number of stacks")
        templates = [template for part in parts for template in part.templates]
        if any(_kind(template) != _kind(templates[0]) for template in templates[1:]):
            described = ", ".join(sorted({type(template).__name__ for template in templates}))
            raise ValueError(f"expected networks of one kind, got {described} of different make")
        joined = object.__new__(cls)
        joined._become(templates[:1], [sum(len(part) for part in parts)])
        joined.state = torch.cat([part.state for part in parts], 1)
        return joined

    def select(self, chosen: Sequence[int]) -> "Replicas":
        """The replicas at these indices, in rising order, as a stack of their own.

        Raises:
            IndexError: no indices; indices that do not rise, or beyond the stack.
        """
        if not chosen or list(chosen) != sorted(set(chosen)) or chosen[0] < 0 or chosen[-1] >= len(self):
            raise IndexError(f"expected rising indices from 0 to {len(self) - 1}, got {list(chosen)}")
        runs = [list(run) for _, run in groupby(enumerate(chosen), key=lambda pair: pair[1] - pair[0])]
        parts = [self.take(run[0][1], run[-1][1] + 1) for run in runs]
        if len({frozenset(part.shapes) for part in parts}) > 1:
            raise IndexError("expected indices whose runs all hold the same parameters")
        selected = object.__new__(Replicas)
        selected._become([t for part in parts for t in part.templates], [n for part in parts for n in part.counts])
        selected.state = torch.cat([part.state for part in parts], 1)
        return selected

    def put(self, start: int, part: "Replicas") -> None:
        """Overwrite the replicas from start with those of a part, as `take` gave it."""
        if start < 0 or start + len(part) > len(self):
            raise IndexError(f"expected a part that ends by {len(self)}, got {len(part)} replicas from {start}")
        own = self.parameters()
        for name, values in part.parameters().items():
            own[name][start : start + len(part)] = values

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
            "modules": [
                [n, *(type(m).__name__ for m in t.modules())] for n, t in zip(self.counts, self.templates, strict=True)
            ],
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


class Calling(nn.Module):
    """Calls a function of a network where torch wants a call of the network."""

    def __init__(self, network: nn.Module, function: Callable[[nn.Module], Tensor]) -> None:
        super().__init__()
        self.network, self.function = network, function

    def forward(self) -> Tensor:
        return self.function(self.network)


def unpack(
    state: Float[Tensor, "parameter replica"], shapes: dict[str, torch.Size]
) -> dict[str, Float[Tensor, "replica ..."]]:
    """The rows of a state (or of its gradient) as parameters by name, without a copy."""
    parts = state.split([shape.numel() for shape in shapes.values()])
    return {
        n: p.unflatten(0, s or (1,)).movedim(-1, 0).reshape(-1, *s)
        for (n, s), p in zip(shapes.items(), parts, strict=True)
    }


def stackable(a: nn.Module, b: nn.Module) -> bool:
    """Whether two networks can share a stack: they differ at most in their activations."""
    shapes = dict(_shapes(b))
    return _skeleton(a) == _skeleton(b) and all(shapes.get(name, shape) == shape for name, shape in _shapes(a))


def _leaf(module: nn.Module) -> bool:
    return not any(True for _ in module.children())


def _kind(network: nn.Module) -> tuple:
    """Networks of one kind differ in nothing but the values of their parameters."""
    return type(network), repr(network), _shapes(network), tuple(_settings(module) for module in network.modules())


def _shapes(network: nn.Module) -> tuple:
    return tuple((name, p.shape) for name, p in network.named_parameters())


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


def _is_activation(module: nn.Module) -> bool:
    known = type(module).__module__ == nn.modules.activation.__name__ or isinstance(module, nn.Identity)
    return known and _leaf(module)


def _skeleton(network: nn.Module) -> tuple:
    """What two networks must have in common to share a stack: everything but activations inside them."""
    return tuple(
        (path, "activation")
        if path and _is_activation(module)
        else (
            path,
            type(module),
            module.extra_repr(),
            tuple((name, p.shape) for name, p in module.named_parameters(recurse=False)),
            _settings(module),
        )
        for path, module in network.named_modules()
    )


def _merge(networks: Sequence[nn.Module], counts: Sequence[int]) -> nn.Module:
    """One network for all groups, with a `ByReplica` wherever they differ in a leaf."""
    if len(networks) == 1:
        return copy.deepcopy(networks[0])
    if any(not stackable(networks[0], other) for other in networks[1:]):
        described = ", ".join(sorted({type(network).__name__ for network in networks}))
        raise ValueError(f"expected networks that differ only in their activations, got {described} of different make")
    merged = copy.deepcopy(networks[0])
    for path, module in list(merged.named_modules()):
        leaves = [network.get_submodule(path) for network in networks]
        if path and _leaf(module) and len({_kind(leaf) for leaf in leaves}) > 1:
            parent, _, name = path.rpartition(".")
            setattr(merged.get_submodule(parent), name, ByReplica(leaves, counts))
    return merged.requires_grad_(False)

"""What cannot be trained says so, before anything is trained.

A training step is recorded once, for one network, and made C (`native.py`), or is taken by a stack of replicas at once
(`eager.py`). What a network does besides tensor operations would happen once for all of them, or never
again: a state that changes, a random number, a decision by the value of a number.
"""

import copy
from collections import deque
from contextlib import suppress
from numbers import Real
from types import FunctionType, ModuleType

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nalu.engine.optimisers import optimiser
from nalu.engine.step import penalty
from nalu.recipe import Loss, Recipe
from nalu.schedules import Schedule
from nalu.training.replicas import OF_EVERY_MODULE, Inputs, Replicas

DTYPES = (torch.float32, torch.float64)

LOOKS = ("control flow", ".item()", "data pointer", "dynamic shape")
"""What vmap says where something depends on the values of numbers, and not on tensors alone."""

INPUT = "the input"

HOLDERS = (dict, list, tuple, set, frozenset, deque)

SAME = 1e-6
"""Outputs of two calls may differ by so much of the largest one: more than rounding does, less than noise."""


def kinds(network: nn.Module, name: str) -> None:
    """Raise where modules, or what they hold, are of a kind that no stack can train."""
    for path, module in network.named_modules():
        if isinstance(module, nn.RNNBase):
            raise ValueError(
                f"{name}: expected modules that can be trained in a stack of replicas, got {_where(path, module)}, "
                f"which cannot; use nalu.LSTM, nalu.RNN or nalu.Recurrent"
            )
        for n, value in vars(module).items():
            try:
                _ = n in OF_EVERY_MODULE or copy.deepcopy(value)
            except Exception as error:  # whatever the reader's object makes of it
                raise TypeError(
                    f"{name}: expected a network that can be copied, got {n} in {_where(path, module)}, which cannot, "
                    f"for {error}; make it in forward, or keep it outside the network"
                ) from error
        for n, p in module.named_parameters(recurse=False):
            got = f"got {n} in {_where(path, module)}"
            if isinstance(p, nn.UninitializedParameter):
                raise ValueError(f"{name}: expected parameters with a shape, {got} without; make it with all its sizes")
            if p.dtype not in DTYPES:
                way = "use two real ones" if p.dtype.is_complex else "convert the network with .float()"
                raise ValueError(
                    f"{name}: expected parameters of torch.float32 or torch.float64, {got} of {p.dtype}; {way}"
                )


def recipe(given: object, steps: int, name: str = "") -> None:
    """Raise unless it is a recipe whose optimiser is known, and whose numbers can be used at all steps.

    Args:
        name: of what it is for, for the message.
    """
    prefix = f"{name}: " if name else ""
    if not isinstance(given, Recipe):
        raise TypeError(f"{prefix}recipe: expected a Recipe (nalu.Recipe), got {given!r}")
    optimiser(given.optimizer)
    if given.schedule is not None:
        schedule(given.schedule, steps, f"{prefix}schedule")
    if given.penalty is not None and callable(given.penalty.weight):
        schedule(given.penalty.weight, steps, f"{prefix}penalty")


def schedule(rule: Schedule, steps: int, what: str) -> None:
    """Raise unless a schedule is a finite number of at least 0 at every step."""
    if not callable(rule):
        raise TypeError(f"{what}: expected a function of the share of the steps that is done, got {rule!r}")
    for done in range(steps):
        value = rule(done / steps)
        number = type(value) is float or isinstance(value, Real)
        if not number or not 0 <= value < float("inf"):  # NaN compares false
            raise (ValueError if number else TypeError)(
                f"{what}: expected a finite number of at least 0 at every share of the steps, got {value!r} at "
                f"{done / steps:g}, after {done:,} of {steps:,} steps"
            )


def trainable(replicas: Replicas, x: Inputs, name: str, *, penalised: bool = False) -> None:
    """Raise where a network cannot be trained in a stack, on copies of it.

    Args:
        replicas: a stack of this network alone.
        x: a batch.
        name: the model's, for the message.
        penalised: whether training calls `penalty()`.

    Raises:
        TypeError: an output that is no tensor.
        ValueError: a `forward` or `penalty` that changes the network or its input, draws random numbers, or depends on
            the values of numbers.
    """
    network, own, outputs = replicas[0].requires_grad_(False), x.clone(), {}
    with torch.no_grad():
        for training in (True, False):
            network.train(training)
            before = _state(network, own)
            outputs[training] = network(own)
            before = _unchanged(before, _state(network, own), f"{name}: expected forward")
            if not isinstance(outputs[training], Tensor):
                raise TypeError(f"{name}: expected forward to return a tensor, got {type(outputs[training]).__name__}")
            if penalised:
                penalty(network)
                _unchanged(before, _state(network, own), f"{name}: expected penalty")
        _stacked(replicas, x, name, penalised)
        for training, y in outputs.items():
            again = network.train(training)(own)
            most = SAME * y.nan_to_num(0, 0, 0).abs().amax().item() if y.numel() else 0.0
            if y.shape != again.shape or not torch.allclose(y, again, rtol=SAME, atol=most, equal_nan=True):
                raise ValueError(
                    f"{name}: expected the same output for the same input, got another in the second call; forward "
                    f"must draw no random numbers, also none of NumPy or Python, and keep no state outside the network"
                )


def shapes(outputs: Tensor, y: Tensor, loss: Loss) -> None:
    """Raise where a batch's outputs and targets do not fit together, or the loss is not a scalar."""
    if outputs.shape != y.shape:
        raise ValueError(f"expected outputs of the shape of the targets, {tuple(y.shape)}, got {tuple(outputs.shape)}")
    if (shape := loss(outputs, y).shape) != ():
        raise ValueError(f"expected a loss that is a scalar for each replica, got one of shape {tuple(shape)}")


def _unchanged(before: dict[str, object], after: dict[str, object], what: str) -> dict[str, object]:
    """The state after a call, if it is the one before."""
    if changed := [place for place in before | after if before.get(place) != after.get(place)]:
        how = "added" if changed[0] not in before else "removed" if changed[0] not in after else "changed"
        way = "compute it anew in each call, or make it a parameter, for forward is recorded once for all steps"
        if changed[0] == INPUT:
            way = "work on a copy of it; modules of torch do with inplace=False"
        raise ValueError(f"{what} to change neither the network nor its input, got {changed[0]} {how}; {way}")
    return after


def _state(network: nn.Module, x: Inputs) -> dict[str, object]:
    """All that a network holds and its input, as something to compare, by what it is called."""
    seen: set[int] = set()
    held = {}
    for path, module in network.named_modules():
        where = _where(path, module)
        own = {n: value for n, value in vars(module).items() if n == "training" or n not in OF_EVERY_MODULE}
        own |= module._parameters | module._buffers | {n: id(child) for n, child in module._modules.items()}
        held |= {f"{n} in {where}": _frozen(value, seen) for n, value in own.items()}
    return held | {INPUT: _frozen(x, seen)}


def _frozen(value: object, seen: set[int]) -> object:
    """What compares equal as long as nothing in a value changes; what cannot be looked into, by identity or text."""
    with suppress(Exception):  # a value of the reader's may do anything when it is looked at
        if isinstance(value, Tensor):
            numbers = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            return value.dtype, value.shape, numbers.numpy().tobytes()
        if isinstance(value, np.ndarray):
            return value.dtype, value.shape, value.tobytes()
        looked_into = isinstance(value, HOLDERS) or hasattr(value, "__dict__")
        if not looked_into or isinstance(value, type | FunctionType | ModuleType):
            return repr(value)
        if id(value) in seen:
            return id(value)
        seen.add(id(value))
        if isinstance(value, dict):
            return [(_frozen(key, seen), _frozen(each, seen)) for key, each in value.items()]
        if isinstance(value, HOLDERS):
            return type(value), [_frozen(each, seen) for each in value]
        return id(value), _frozen(vars(value), seen)
    return id(value)


class _Failing(TorchFunctionMode):
    """Remembers which function of torch raised."""

    name = ""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        try:
            return function(*args, **(kwargs or {}))
        except RuntimeError:
            self.name = self.name or getattr(function, "__name__", "")
            raise


def _stacked(replicas: Replicas, x: Inputs, name: str, penalised: bool) -> None:
    """Raise where a network cannot be called in a stack, and say by what and in which of its modules."""
    inside: list[str] = []
    own = x.is_floating_point()  # tokens are shared
    modules = [(module, _where(path, module)) for path, module in replicas.network.named_modules()]
    for module, place in modules:
        module.register_forward_pre_hook(lambda *_, place=place: inside.append(place))
        module.register_forward_hook(lambda *_: inside.__delitem__(-1))  # a hook that returned something would change y
    try:
        for training in (True, False):
            replicas.network.train(training)
            with _Failing() as failing:
                replicas(x.unsqueeze(0) if own else x, own=own)
                for module, place in modules if penalised else []:
                    if hasattr(module, "penalty"):
                        inside.append(f"penalty of {place}")
                        replicas.each(lambda _, module=module: module.penalty())
                        inside.clear()
    except RuntimeError as error:
        place = inside[-1] if inside else _where("", replicas.network)
        got = "a branch on a number" if failing.name == "__bool__" else f"{failing.name.strip('_') or 'a call'}()"
        if "random" in str(error):
            wanted, way = "draws no random numbers", "; leave it out, or make noise of the input, as nalu.SNMU does"
        elif any(each in str(error) for each in LOOKS):
            wanted, way = "takes no branch on its numbers", "; use torch.where, and keep all numbers in tensors"
        else:
            wanted, way = "is made of operations that vmap knows", f": {error}"
        raise ValueError(
            f"{name}: expected a unit that can be trained in a stack of replicas, whose equation {wanted}, got: {got} "
            f"in {place}{way}"
        ) from error


def _where(path: str, module: nn.Module) -> str:
    return f"{path or 'the network'} ({type(module).__name__})"

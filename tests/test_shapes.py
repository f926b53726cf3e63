"""The shapes in nalu's signatures are true: here, and only here, they are checked on every call.

jaxtyping's import hook is applied to a second import of the package, because a shape checker in front of every function
would answer bad input before the package's own errors do, which other tests read.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import get_args

import pytest
import torch
from beartype import beartype
from jaxtyping import AbstractArray, TypeCheckError, install_import_hook


def has_shape(hint: object) -> bool:
    return (isinstance(hint, type) and issubclass(hint, AbstractArray)) or any(map(has_shape, get_args(hint)))


def shapes_only(function: Callable) -> Callable:
    """A type checker that looks at nothing but annotations with a shape."""
    function.__annotations__ = {name: hint for name, hint in function.__annotations__.items() if has_shape(hint)}
    return beartype(function)


@pytest.fixture(scope="module")
def nalu() -> Iterator[ModuleType]:
    def ours() -> dict[str, ModuleType]:
        return {name: module for name, module in sys.modules.items() if name.split(".")[0] == "nalu"}

    unchecked = ours()
    for name in unchecked:
        del sys.modules[name]
    try:
        with install_import_hook("nalu", f"{__name__}.shapes_only"):
            import nalu
            import nalu.tasks.identity
        yield nalu
    finally:
        for name in ours():
            del sys.modules[name]
        sys.modules.update(unchecked)


def test_shapes_are_checked(nalu: ModuleType) -> None:
    with pytest.raises(TypeCheckError, match="out"):
        nalu.mean_absolute_error(torch.zeros(2, 3, 1), torch.zeros(3))
    with pytest.raises(TypeCheckError):
        nalu.NAC(2, 1)(torch.zeros(3, 2, dtype=torch.int64))


@pytest.mark.slow
def test_shapes_hold_in_training_and_after(nalu: ModuleType, tmp_path: object) -> None:
    far = nalu.tasks.identity.integers(-9, 9)
    models = {
        **{name: partial(nalu.MLP, 1, 1, activation=name) for name in ("PReLU", "Tanh")},
        "wide": partial(nalu.MLP, 1, 1, hidden=(40,)),
        "NAC": partial(nalu.stack, nalu.NAC, [1, 2, 1]),
        "NALU": partial(nalu.stack, nalu.NALU, [1, 2, 1]),
        "Linear": partial(nalu.Linear, 1, 1),
    }
    for task in (nalu.tasks.Identity(), nalu.tasks.Identity(reals=7)):
        run = nalu.fit(models, task, seeds=[2, 1], steps=3, workers=1, watch=nalu.Watch({"far": (far, far)}))
        assert len(run.table) == 6 * 2 * 4
        for replicas in run.replicas.values():
            replicas.save(tmp_path / "replicas.pt")
            assert nalu.mean_absolute_error(replicas.load(tmp_path / "replicas.pt")(far), far).shape == (2,)
            assert replicas.take(1, 2)(far.expand(1, -1, 1), own=True).shape == (1, 19, 1)
            network = replicas[1]
            for x in (far, far[0], far.expand(4, -1, 1)):
                assert network(x).shape == x.shape
    assert nalu.NALU(3, 2).W.shape == (2, 3)


@pytest.mark.slow
def test_shapes_hold_over_time_and_in_words(nalu: ModuleType) -> None:
    words = nalu.tasks.LanguageToNumber(batch=5)
    for task, tests, makes in (
        (nalu.tasks.StaticFunction("a * b", size=9, sections=((0, 2), (3, 5)), batch=4), None, [nalu.NAC, nalu.NALU]),
        (nalu.tasks.RecurrentFunction("a / b", sections=((0, 2), (3, 5)), batch=4), None, [nalu.LSTM, nalu.RNN]),
        (words, words.tests(), [nalu.Reader, nalu.Pairs]),
    ):
        size = 9 if makes[0] is nalu.NAC else 10
        models = {
            make.__name__: partial(make, *([30] if make in (nalu.Reader, nalu.Pairs) else [size, 1])) for make in makes
        }
        run = nalu.fit(models, task, seeds=[2, 1], steps=2, workers=1, watch=nalu.Watch(tests or {}, checkpoints=1))
        assert len(run.table) == 2 * 2 * 2
    reader = run.replicas["Reader"][0]
    assert reader.running(words.sentences()[0]).shape == (1000, 5, 1)

"""A stack of replicas and its parts: every way in and out keeps the numbers."""

import copy
import io
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from helpers.seeds import seeded
from torch import Tensor, nn

from nalu import ACTIVATIONS, MLP, NAC, NALU, Linear, Recipe, Replicas, fit, stack
from nalu.tasks import Identity

Make = Callable[[torch.Generator], nn.Module]
MAKES: dict[str, Make] = {
    **{name: partial(MLP, 2, 3, activation=name, hidden=(4, 4)) for name in ACTIVATIONS},
    **{unit.__name__: partial(stack, unit, [2, 4, 3]) for unit in (Linear, NAC, NALU)},
}
EIGHT = ["PReLU"] * 8


def networks(names: list[str], dtype: torch.dtype = torch.float64) -> list[nn.Module]:
    return [MAKES[name](generator=seeded(seed)).to(dtype) for seed, name in enumerate(names)]


def eight(dtype: torch.dtype = torch.float64) -> Replicas:
    return Replicas(networks(EIGHT, dtype))


def inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=seeded(99), dtype=torch.float64) * 2


def assert_same(replicas: Replicas, expected: list[nn.Module]) -> None:
    """Same parameters and same outputs, on shared and on own inputs, in the stack and taken out of it."""
    assert len(replicas) == len(expected)
    shared, own = inputs(5, 2), inputs(len(expected), 5, 2)
    on_shared, on_own = replicas(shared), replicas(own, own=True)
    for r, network in enumerate(expected):
        torch.testing.assert_close(on_shared[r], network(shared).detach(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(on_own[r], network(own[r]).detach(), rtol=1e-12, atol=1e-12)
        out = replicas[r]
        assert repr(out) == repr(network)
        assert all(torch.equal(p, q) for p, q in zip(out.parameters(), network.parameters(), strict=True))
        torch.testing.assert_close(out(shared), network(shared), rtol=0, atol=0)
        assert all(p.requires_grad for p in out.parameters())


@pytest.mark.parametrize("name", MAKES)
def test_a_stack_computes_what_its_networks_compute(name: str) -> None:
    alike = networks([name] * 3)
    assert_same(Replicas(alike), alike)


def test_building_is_drawing_each_replica_from_its_seed() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    built = Replicas.build(MAKES["NALU"], [4, 0])
    assert torch.equal(before, torch.get_rng_state())
    for r, seed in enumerate([4, 0]):
        expected = MAKES["NALU"](generator=seeded(seed))
        assert all(torch.equal(p, q) for p, q in zip(built[r].parameters(), expected.parameters(), strict=True))


def test_networks_are_copied() -> None:
    given = networks(EIGHT)
    before = copy.deepcopy(given)
    replicas = Replicas(given)
    replicas.state.zero_()
    for network, old in zip(given, before, strict=True):
        for p, q in zip(network.parameters(), old.parameters(), strict=True):
            assert torch.equal(p, q) and p.requires_grad


def test_parameters_are_views_of_the_state() -> None:
    replicas = eight()
    parameters = replicas.parameters()
    assert parameters["layers.1.W"].shape == (8, 4, 4) and parameters["activations.0.weight"].shape == (8, 1)
    assert replicas.state.shape == (sum(p[0].numel() for p in parameters.values()), 8)
    parameters["layers.1.W"][3, 2, 1] = 42.0
    assert replicas[3].layers[1].W[2, 1] == 42
    assert (replicas.state == 42).sum() == 1


def test_counting_replicas() -> None:
    replicas = eight()
    assert torch.equal(replicas[-1].layers[0].W, replicas[7].layers[0].W)
    assert len(list(replicas)) == 8  # iteration ends by the IndexError
    for r in (8, -9):
        with pytest.raises(IndexError):
            replicas[r]


@pytest.mark.parametrize(("start", "stop"), [(0, 8), (0, 1), (1, 2), (2, 4), (0, 5), (3, 8), (4, 7), (7, 8)])
def test_take(start: int, stop: int) -> None:
    replicas, expected = eight(), networks(EIGHT)
    part = replicas.take(start, stop)
    assert_same(part, expected[start:stop])
    part.state.mul_(2)
    assert_same(replicas, expected)  # a part is a copy


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (2, 2), (5, 4), (0, 9), (8, 9)])
def test_take_outside(start: int, stop: int) -> None:
    with pytest.raises(IndexError, match=f"expected 0 <= start < stop <= 8, got {start} and {stop}"):
        eight().take(start, stop)


def test_to_another_dtype_and_back() -> None:
    replicas = eight(torch.float32)
    assert replicas.to(torch.float64) is replicas
    assert replicas.state.dtype == replicas[1].layers[0].W.dtype == torch.float64
    assert_same(replicas, [network.double() for network in networks(EIGHT, torch.float32)])
    assert replicas.to(torch.float32).to("cpu").state.dtype == torch.float32


def test_a_stack_survives_pickling_and_copying() -> None:
    for twin in (pickle.loads(pickle.dumps(eight())), copy.deepcopy(eight())):
        assert_same(twin, networks(EIGHT))


def test_training_a_replica_that_was_taken_out_leaves_the_stack() -> None:
    replicas = fit({"PReLU": partial(MLP, 1, 1, activation="PReLU")}, Identity(), seeds=[3, 1],
                   steps=2, workers=1).replicas["PReLU"]  # fmt: skip
    before = replicas.state.clone()
    network = replicas[1]
    update = torch.optim.SGD(network.parameters(), lr=0.1)
    network(torch.ones(1, 1)).sum().backward()
    update.step()
    assert torch.equal(replicas.state, before) and replicas.state.grad is None
    assert not torch.equal(network.layers[0].b, replicas[1].layers[0].b)
    with torch.no_grad():
        replicas.state.zero_()  # and the other way about
    assert network.layers[0].b.abs().sum() > 0


def test_tied_parameters_stay_tied() -> None:
    class Tied(nn.Module):
        def __init__(self, generator: torch.Generator) -> None:
            super().__init__()
            self.a, self.b = Linear(2, 2, generator=generator), Linear(2, 2, generator=generator)
            self.b.W = self.a.W

        def forward(self, x: Tensor) -> Tensor:
            return self.b(torch.tanh(self.a(x)))

    alike = [Tied(seeded(seed)).double() for seed in range(2)]
    replicas = Replicas(alike)
    assert_same(replicas, alike)
    out = replicas[1]
    assert out.b.W is out.a.W


def test_a_module_with_two_paths_stays_one() -> None:
    class Twice(nn.Module):
        def __init__(self, generator: torch.Generator) -> None:
            super().__init__()
            self.a = self.b = Linear(2, 2, generator=generator)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(torch.tanh(self.a(x)))

    alike = [Twice(seeded(seed)).double() for seed in range(2)]
    replicas = Replicas(alike)
    held = dict(replicas.network.named_parameters())
    assert_same(replicas, alike)
    assert all(p is held[name] for name, p in replicas.network.named_parameters())  # nothing of vmap's is left behind


class Power(nn.Module):
    """A reader's module: what it computes depends on attributes that its description does not show."""

    def __init__(self, power: float | Callable[[Tensor], Tensor] | Tensor) -> None:
        super().__init__()
        self.w, self.power = nn.Parameter(torch.ones(2, dtype=torch.float64)), power

    def forward(self, x: Tensor) -> Tensor:
        return self.w * (self.power(x) if callable(self.power) else x.abs() ** self.power)


def raised(power: float) -> Callable[[Tensor], Tensor]:
    return lambda x: x.abs() ** power


@pytest.mark.parametrize(
    ("one", "other"),
    [(2, 3), (torch.sin, torch.cos), (raised(2), raised(3)), (torch.tensor([1.0, 2]), torch.tensor([1.0, 3]))],
    ids=["number", "function", "closure", "tensor"],
)
def test_networks_that_differ_in_an_attribute_do_not_share_a_stack(one: object, other: object) -> None:
    with pytest.raises(ValueError, match="expected networks of one kind, got Power of different make"):
        Replicas([Power(one), Power(other)])
    with pytest.raises(ValueError, match="expected networks of one kind, got Sequential"):
        Replicas([nn.Sequential(Power(one)), nn.Sequential(Power(other))])
    models = {"one": partial(Power, one), "other": partial(Power, other)}
    run = fit(models, _Pairs(), Recipe(lr=1e-9), seeds=[0], steps=1, workers=1)
    x = inputs(4, 2).float()
    for name, power in (("one", one), ("other", other)):
        expected = Power(power).float()
        torch.testing.assert_close(run.replicas[name](x)[0], expected(x).detach(), rtol=1e-5, atol=1e-5)


class _Pairs:
    fresh = False
    shared = False

    def draw(self, generator: torch.Generator, steps: int) -> tuple[Tensor, Tensor]:
        return torch.ones(steps, 3, 2), torch.ones(steps, 3, 2)


def test_networks_with_equal_functions_of_their_own_do_share_one() -> None:
    alike = [Power(raised(2)), Power(raised(2))]
    assert_same(Replicas(alike), alike)


# Saving and loading.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_save_and_load(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "replicas.pt"
    saved = eight(dtype)
    saved.state[3, 2] = float("nan")
    saved.save(path)
    fresh = Replicas([MAKES[name](generator=seeded(1000)).to(dtype) for name in EIGHT])
    assert fresh.load(str(path)) is fresh
    torch.testing.assert_close(fresh.state, saved.state, rtol=0, atol=0, equal_nan=True)
    assert torch.load(path, weights_only=True)["format"] == "nalu.replicas.1"
    assert [p.name for p in tmp_path.iterdir()] == ["replicas.pt"]
    assert eight(torch.float64).load(path).state.dtype == torch.float64  # the stack keeps its dtype


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    eight().save(tmp_path / "whole.pt")
    return tmp_path / "whole.pt"


def assert_refused(replicas: Replicas, path: Path, message: str) -> None:
    before, state = replicas.state.clone(), replicas.state
    with pytest.raises(ValueError, match=message) as raised:
        replicas.load(path)
    assert path.name in str(raised.value)
    assert replicas.state is state and torch.equal(state, before)


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.5, 0.9, 0.99, 0.9999])
def test_a_file_cut_short_is_refused(whole: Path, share: float) -> None:
    content = whole.read_bytes()
    whole.write_bytes(content[: int(len(content) * share)])
    assert_refused(eight(), whole, r"expected a whole file written by Replicas\.save, got .*whole\.pt")


def test_no_spoiled_byte_gets_another_error_through(whole: Path) -> None:
    content = bytearray(whole.read_bytes())
    state = eight().state
    for at in range(0, len(content), 211):
        spoiled = content.copy()
        spoiled[at] ^= 0xFF
        whole.write_bytes(spoiled)
        replicas = eight()
        try:
            replicas.load(whole)
        except ValueError:
            assert torch.equal(replicas.state, state)


class _Forbidden:
    def __reduce__(self) -> tuple:
        return (pytest.fail, ("code from a file was run",))


def dumped(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n", "expected a whole file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "expected a whole file"),
        (pickle.dumps([1, 2, 3]), "expected a file written by|expected a whole file"),
        (pickle.dumps(_Forbidden()), "expected a whole file"),
        (dumped(_Forbidden()), "expected a whole file"),
        (dumped(nn.Linear(1, 1).state_dict()), r"expected a file written by Replicas\.save \(nalu\.replicas\.1\)"),
        (dumped([1]), r"expected a file written by Replicas\.save"),
        (dumped({"format": "nalu.replicas.0"}), r"expected a file written by Replicas\.save"),
        (dumped({"format": "nalu.replicas.1"}), "expected replicas whose count is 8, got None"),
    ],
    ids=["text", "png", "pickle", "code", "code in torch's format", "state_dict", "list", "version", "empty"],
)
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "foreign.pt"
    path.write_bytes(content)
    assert_refused(eight(), path, message)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (EIGHT[:-1], "expected replicas whose count is 8, got 7"),
        (["PReLU"] * 9, "expected replicas whose count is 8, got 9"),
        (["NAC"] * 8, "expected replicas whose modules is .*PReLU.*, got .*NAC"),
        (["ELU"] * 8, r"expected replicas whose modules is \[\[8, 'MLP', .*PReLU.*, got \[\[8, 'MLP', .*'ELU'"),
    ],
)
def test_replicas_of_another_make_are_refused(tmp_path: Path, names: list[str], message: str) -> None:
    Replicas(networks(names)).save(tmp_path / "other.pt")
    assert_refused(eight(), tmp_path / "other.pt", message)


def test_replicas_of_another_shape_are_refused(tmp_path: Path) -> None:
    Replicas([Linear(2, 2)]).save(tmp_path / "other.pt")
    assert_refused(Replicas([Linear(2, 3)]), tmp_path / "other.pt", r"parameters is .*\(3, 2\).*, got .*\(2, 2\)")


def test_no_file_and_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        eight().load(tmp_path / "none.pt")
    with pytest.raises(FileNotFoundError, match=r"cannot write .*a\.pt: the folder .*nowhere does not exist"):
        eight().save(tmp_path / "nowhere" / "a.pt")


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_saving_is_all_or_nothing(whole: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    content = whole.read_bytes()

    def fail(held: dict, path: Path) -> None:
        path.write_bytes(b"half a file")
        raise error

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(type(error)):
        eight().save(whole)
    assert whole.read_bytes() == content
    assert [p.name for p in whole.parent.iterdir()] == ["whole.pt"]


# Bad input.


def test_no_replicas() -> None:
    with pytest.raises(ValueError, match="number of replicas: expected at least 1, got 0"):
        Replicas([])
    with pytest.raises(ValueError, match="number of replicas: expected at least 1, got 0"):
        Replicas.build(MAKES["Tanh"], [])


def test_replicas_need_networks_of_one_make_without_buffers() -> None:
    with pytest.raises(ValueError, match="expected networks of one kind, got Linear, NAC of different make"):
        Replicas([NAC(1, 1), Linear(1, 1)])
    for networks in ([Linear(1, 1), Linear(1, 2)], [nn.LeakyReLU(0.1), nn.LeakyReLU(0.2)]):
        with pytest.raises(ValueError, match="expected networks of one kind"):
            Replicas(networks)
    with pytest.raises(ValueError, match=r"replicas need networks without buffers, got 1\.running_mean"):
        Replicas([nn.Sequential(Linear(1, 2), nn.BatchNorm1d(2))])


def test_inputs_for_another_number_of_replicas() -> None:
    with pytest.raises(ValueError, match="expected inputs for 8 replicas, got 3"):
        eight()(inputs(3, 5, 2), own=True)


def test_stacks_of_one_kind_are_joined_in_their_order() -> None:
    networks = [MLP(2, 1, hidden=(3,), generator=seeded(seed)).double() for seed in range(5)]
    joined = Replicas.join([Replicas(networks[:2]), Replicas(networks[2:])])
    assert len(joined) == 5
    assert_same(joined, networks)


def test_stacks_that_do_not_join() -> None:
    one = Replicas([MLP(2, 1, hidden=(3,))])
    for other in (MLP(2, 1, hidden=(4,)), MLP(2, 1, activation="Tanh", hidden=(3,)), Linear(2, 1)):
        with pytest.raises(ValueError, match=r"expected networks of one kind, got (Linear, )?MLP of different make"):
            Replicas.join([one, Replicas([other])])
    with pytest.raises(ValueError, match="number of stacks: expected at least 1, got 0"):
        Replicas.join([])


class Rearranging(nn.Module):
    """Joins and cuts its input, along axes counted from both ends."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.randn(3, 4, generator=generator))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.unsqueeze(-2) * self.W  # batch, 3, 4
        left, right = y.chunk(2, -1)
        first, *_ = torch.chunk(y, 2, dim=1)
        a, b, c = y.unbind(1)
        d = torch.unbind(y, dim=-1)[2]
        stacked = torch.stack([left, right.square()], 2)  # batch, 3, 2, 2
        parts = [torch.cat([a, b], 1), torch.cat((c, d), dim=-1), torch.stack((left, right), -1), stacked, first]
        return torch.cat([part.flatten(1) for part in parts], -1)


@pytest.mark.parametrize("own", [False, True])
def test_joining_and_cutting_equals_alone(own: bool) -> None:
    replicas = Replicas.build(Rearranging, range(5))
    x = torch.randn(5, 7, 4) if own else torch.randn(7, 4)
    together = replicas(x, own=own)
    for r in range(5):
        torch.testing.assert_close(together[r], replicas[r](x[r] if own else x), rtol=0, atol=0)

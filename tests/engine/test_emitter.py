"""C of single operations against PyTorch, in float64, and what the emitter makes of what it does not know."""

import ctypes
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nalu.engine import emitter as emitter_module
from nalu.engine.compiler import library
from nalu.engine.emitter import HEADERS, Emitter
from nalu.engine.index import Index, Loop, flat, unflat
from nalu.engine.kernel import LANES, Kernel, Layout, array
from nalu.engine.tracing import Unknown, trace
from nalu.recipe import Recipe

FOUR = np.arange(4, dtype=np.float32)

A, B, C, T = (3, 4), (4, 5), (3, 3, 4), (3, 1, 4)  # shapes of the operands a, b, c and t; k are tokens below 3
TOKENS = (2, 3)

FUNCTIONS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "add and subtract": lambda a, b, c, t, k: torch.add(a, a.sin(), alpha=3) - (a - (1 - a)) - torch.rsub(a, 2.5),
    "multiply and divide": lambda a, b, c, t, k: a * c / (2 + t.abs()) * -1 / 4 + 1 / (3 + c),
    "powers": lambda a, b, c, t, k: a**2 + a**3 + a.abs() ** 0.5 + (2 + a) ** -1 + 2**a + a.abs() ** (a + 1) + a**0,
    "functions": lambda a, b, c, t, k: a.exp() + a.abs().log() + a.tanh() + a.sigmoid() + a.sin() + a.cos() + a.expm1(),
    "more functions": lambda a, b, c, t, k: a.abs().log1p() + a.exp2() + a.abs().log2() + a.abs().rsqrt() + a.square(),
    "rounding and signs": lambda a, b, c, t, k: (3 * a).floor() + (3 * a).ceil() + (3 * a).round() + a.sign() + a.sgn(),
    "clamps": lambda a, b, c, t, k: a.clamp(-0.5, 0.5) + a.clamp(min=0.1) + a.clamp(max=0.1) + a.relu(),
    "extremes of two": lambda a, b, c, t, k: torch.minimum(a, c) + torch.maximum(a, t),
    "comparisons": lambda a, b, c, t, k: torch.where((a > 0) & ~(a >= 0.5) | (a < -1), a, c) + (a <= 0) + (a != t) * 2,
    "masks as numbers": lambda a, b, c, t, k: (a > 0).to(a.dtype) * c + a.masked_fill(a < 0, 7.0) + (a == a) * 1.5,
    "products": lambda a, b, c, t, k: torch.addmm(b[0], a, b) + a @ b,
    "products in batches": lambda a, b, c, t, k: torch.bmm(c, c.mT) @ (c @ b),
    "linear": lambda a, b, c, t, k: F.linear(c, b.T, b[1]),
    "sums": lambda a, b, c, t, k: c.sum() + c.sum(0) + c.sum((0, 2), keepdim=True) + c.mean(-1, keepdim=True),
    "extremes over axes": lambda a, b, c, t, k: c.amax(0) + c.amin((0, 1)) + c.amax(),
    "products over axes": lambda a, b, c, t, k: c.detach().prod(0) + c.detach().prod(-1, keepdim=True) * a,
    "softmax": lambda a, b, c, t, k: torch.softmax(c, 1) + torch.log_softmax(c, -1) + c.logsumexp(0),
    "views": lambda a, b, c, t, k: c.reshape(9, 4).view(4, 9).T.reshape(3, 3, 4) + c.permute(2, 0, 1).reshape(3, 3, 4),
    "cut views": lambda a, b, c, t, k: c.transpose(0, 2)[1:, 1:, -1].unsqueeze(0).expand(3, 3, 2) + c[0, 0, 0],
    "odd reshapes": lambda a, b, c, t, k: c.reshape(-1)[:35].reshape(7, 5).T.reshape(7, 5),
    "joined": lambda a, b, c, t, k: torch.cat([a.exp(), t[:, 0], c[1].sin()], 1) + torch.cat([a, a, c[0]], 1),
    "joined, then multiplied": lambda a, b, c, t, k: torch.cat([a, c[0].exp()], 0) @ b,
    "stacked": lambda a, b, c, t, k: torch.stack([a, c[0], a.tanh()], 1) + torch.stack([a, c[1], a], -1).mT,
    "parts": lambda a, b, c, t, k: sum(c.unbind(0)) * torch.stack(c.chunk(2, -1)).sum() + c.split([1, 3], 2)[1].sum(),
    "padded": lambda a, b, c, t, k: F.pad(a, (1, 2)) + F.pad(a, (-1, 4)) * F.pad(a, (0, 3, 2, 0), value=2.0)[1:4],
    "tables": lambda a, b, c, t, k: F.embedding(k, a).sin() + F.embedding(k, a @ b)[..., :4],
    "activations": lambda a, b, c, t, k: sum(
        f(3 * a) for f in (F.hardtanh, F.relu6, F.hardshrink, F.leaky_relu, F.softshrink, F.softsign, F.softplus, F.elu,
                           F.selu, F.silu, F.tanhshrink, F.logsigmoid, F.mish, F.hardswish)),
    "losses": lambda a, b, c, t, k: F.mse_loss(a, t[:, 0]) * F.l1_loss(a, c[0]) + F.smooth_l1_loss(a, c[1]),
    "another loss": lambda a, b, c, t, k: F.huber_loss(a, c[0], delta=0.5),
    "in place": lambda a, b, c, t, k: (a * 2).add_(1).mul_(a).clamp_(-1, 2),
    "a scalar": lambda a, b, c, t, k: torch.tensor(2.5) * a + a.sum() * torch.ones_like(a) + torch.full((4,), 3.0),
}  # fmt: skip


def call(
    function: Callable,
    state: np.ndarray,
    out: np.ndarray,
    scratch: np.ndarray,
    own: np.ndarray | None = None,
    shared: np.ndarray | None = None,
) -> None:
    """One step of an emitted function."""
    pointer, number = ctypes.c_void_p, ctypes.c_long
    function.argtypes = [pointer, pointer, number, pointer, number, pointer, pointer, pointer, number]
    at = [0 if held is None else held.ctypes.data for held in (own, shared)]
    function(state.ctypes.data, at[0], 0, at[1], 0, 0, out.ctypes.data, scratch.ctypes.data, 1)


def operands() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in (A, B, C, T)]
    return [*made, torch.randint(3, TOKENS, generator=generator)]


def with_gradients(f: Callable[..., Tensor]) -> Callable[..., list[Tensor]]:
    def both(*operands: Tensor) -> list[Tensor]:
        held = [x.detach().requires_grad_() if x.is_floating_point() else x for x in operands]
        y = f(*held)
        gradient = torch.autograd.grad(y.square().sum(), held[:4], allow_unused=True, materialize_grads=True)
        return [y.detach(), *gradient]

    return both


@pytest.fixture(scope="module", params=["own", "shared"])
def compiled(request: pytest.FixtureRequest) -> dict[str, tuple[Tensor, Tensor]]:
    """What C and PyTorch give for each function and its gradients, with tokens of each replica, or of all."""
    own = request.param == "own"
    emitters, made = {}, operands()
    for name, f in FUNCTIONS.items():
        graph = trace(with_gradients(f), *made)
        tokens = {"own" if own else "shared": ["k"]}
        emitters[name] = Emitter(graph, state=list("abct"), **tokens, batch=3, single=False)
    bodies = [e.emit(f"f{k}") for k, e in enumerate(emitters.values())]
    loaded = ctypes.CDLL(str(library("\n".join(["#define SINGLE 0", *HEADERS, *bodies]), single=False)))
    found = {}
    for k, (name, e) in enumerate(emitters.items()):
        state = array(e.state_size, LANES, dtype=np.float64)
        scale = 1 + np.arange(LANES) / 7  # each lane has numbers of its own
        state[:] = torch.cat([x.reshape(-1) for x in made[:4]]).numpy()[:, None] * scale
        lanes = [torch.roll(made[4], lane * own) for lane in range(LANES)]
        data = array(6, LANES, dtype=np.float64) if own else array(6, dtype=np.float64)
        data[:] = torch.stack([x.reshape(-1) for x in lanes], -1).numpy() if own else made[4].reshape(-1).numpy()
        out, scratch = (array(size + 1, LANES, dtype=np.float64) for size in (e.out_size, e.scratch_size))
        call(getattr(loaded, f"f{k}"), state, out, scratch, **{"own" if own else "shared": data})
        expected = []
        for lane in range(LANES):
            results = with_gradients(FUNCTIONS[name])(*(x * scale[lane] for x in made[:4]), lanes[lane])
            expected.append(torch.cat([result.reshape(-1) for result in results]))
        found[name] = torch.from_numpy(out[:-1].copy()), torch.stack(expected, -1)
    return found


@pytest.mark.parametrize("name", FUNCTIONS)
def test_c_and_torch_agree_on_values_and_gradients(compiled: dict[str, tuple[Tensor, Tensor]], name: str) -> None:
    found, expected = compiled[name]
    assert expected.abs().sum() > 0
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-11, equal_nan=True)


class Weighted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return (torch.tanh(self.w) * x).sum(-1, keepdim=True)


def test_the_example_in_the_description_is_what_is_emitted() -> None:
    layout = Layout([torch.zeros(8, 2), torch.zeros(8, 1)])
    body = Kernel(Weighted(), Recipe(optimizer=torch.optim.SGD), layout).body.splitlines()
    start, stop = body.index("    V a0[2], a5[2];") + 1, body.index("  }")
    assert "\n".join(body[start:stop]) in emitter_module.__doc__


# A step writes into what it reads.


def test_each_of_the_state_is_made_of_what_it_was_before() -> None:
    """p and q trade places, and r is what both were: no order of writing is right without a copy."""

    def trade(p: Tensor, q: Tensor, r: Tensor) -> list[Tensor]:
        return [q * 2, p + 1, p.sum() + q]

    made = [torch.arange(3.0) + k for k in range(3)]
    e = Emitter(trace(trade, *made), state=["p", "q", "r"], updated=3)
    f = ctypes.CDLL(str(library("\n".join(["#define SINGLE 1", *HEADERS, e.emit("trade")])))).trade
    state, scratch = array(9, LANES, dtype=np.float32), array(e.scratch_size + 1, LANES, dtype=np.float32)
    state[:] = torch.cat(made).numpy()[:, None]
    for _ in range(2):
        call(f, state, scratch, scratch)
    for _ in range(2):
        made = trade(*made)
    np.testing.assert_array_equal(state, np.tile(torch.cat(made).numpy()[:, None], LANES))


# What it does not know.


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda p: p.cumsum(0), "aten.cumsum"),
        (lambda p: torch.special.i0(p), "i0"),
        (lambda p: p.sort().values, "aten.sort"),
        (lambda p: p + torch.from_numpy(FOUR), "a tensor of 4 numbers that is no parameter"),
        (lambda p: (p * 1)[1:].zero_() + 1, "shares its memory"),
        (lambda p: torch.div(p, 2, rounding_mode="trunc"), "rounding_mode='trunc'"),
        (lambda p: torch.round(p, decimals=2), "aten.round.decimals with decimals"),
        (lambda p: torch.addmm(p[:2], p.reshape(2, 2), p.reshape(2, 2), beta=2), "aten.addmm.default with beta"),
        (lambda p: (p.double() / 3).float(), "a conversion to torch.float64"),
        (lambda p: ((p > 0) + (p > 1)).to(p.dtype), "aten.add.Tensor of truth values"),
    ],
)
def test_what_has_no_c_is_named(f: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(Unknown, match=message):
        Emitter(trace(f, torch.ones(4)), state=["p"]).emit("f")


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda p, k: p * (k & 1), "aten.bitwise_and.Scalar of whole numbers"),
        (lambda p, k: torch.func.grad(lambda w: F.embedding(k, w, padding_idx=0).sum())(p), "padding_idx=0"),
    ],
)
def test_what_has_no_c_with_tokens_is_named(f: Callable[[Tensor, Tensor], Tensor], message: str) -> None:
    with pytest.raises(Unknown, match=message):
        Emitter(trace(f, torch.ones(4, 1), torch.tensor([0, 1, 2, 1])), state=["p"], shared=["k"]).emit("f")


def test_a_graph_that_is_too_long_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emitter_module, "LONGEST", 3)
    with pytest.raises(Unknown, match=r"a step of \d+ statements, more than 3"):
        Emitter(trace(lambda p: ((p @ p) @ p) @ (p @ p) @ p, torch.ones(4, 4)), state=["p"])


# Names and indices.


def test_names_that_c_would_not_take() -> None:
    names = ["for", "P", "1.weight", "double", "W", "W", "exp", "vtanh", "a1", "", "x y", "a_b", "a.b"]
    found = emitter_module._names(names)
    assert len(set(found)) == len(names) and found[4] == "W"
    assert all(name.isidentifier() and name not in emitter_module.RESERVED for name in found)


@pytest.mark.parametrize("shapes", [((6, 4), (2, 3, 4)), ((6, 4), (3, 8)), ((21,), (7, 3)), ((2, 3, 4), (4, 6))])
def test_quotients_and_remainders_name_the_same_element(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    first, second = shapes
    loops = [Loop.named("ijkl"[d], size) for d, size in enumerate(first)]
    index = unflat(flat(list(map(Index.of, loops)), first), second)
    for point in np.ndindex(*first):
        values = dict(zip("ijkl", map(int, point), strict=False))
        found = [eval(str(i).replace("/", "//"), {}, values) for i in index]  # all are positive
        assert int(np.ravel_multi_index(found, second)) == int(np.ravel_multi_index(point, first))


def test_what_depends_on_shared_data_alone_is_computed_once() -> None:
    """And is the same for it, also where the last sixteen are not full."""

    def f(w: Tensor, x: Tensor) -> list[Tensor]:
        return [torch.log(x.abs() + 1) * w + x.exp().sum() + (x / 3).tanh(), x.sigmoid() @ w.reshape(-1)[:7]]

    w, x = torch.randn(5, 7, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64)
    e = Emitter(trace(f, w, x), state=["w"], shared=["x"], batch=5, single=False)
    text = e.emit("f")
    assert text.count("store(") == 4 and all(text.count(name) == 1 for name in ("vlog", "vexp", "vtanh", "vsigmoid"))
    function = ctypes.CDLL(str(library("\n".join(["#define SINGLE 0", *HEADERS, text]), single=False))).f
    state, out, scratch = (array(n, LANES, dtype=np.float64) for n in (35, e.out_size, e.scratch_size))
    data = array(35, dtype=np.float64)
    state[:], data[:] = w.reshape(-1, 1).numpy(), x.reshape(-1).numpy()
    call(function, state, out, scratch, shared=data)
    expected = torch.cat([y.reshape(-1) for y in f(w, x)])
    torch.testing.assert_close(torch.from_numpy(out[:, 3].copy()), expected, rtol=1e-12, atol=1e-12)

"""Networks over sequences: any unit as a recurrent cell, the plain RNN, and the LSTM."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nalu import checks
from nalu.units.linear import Linear
from nalu.units.mlp import ACTIVATIONS
from nalu.units.unit import Unit


class Recurrent(Unit):
    """h_t = unit([x_t, h_{t-1}]) with h_0 = 0, and y = unit(h_T): a unit as a cell, and another one that reads it.

    Trask et al. 2018, section 4.1, whose cells have 2 hidden numbers; they do not say how the last h is read. The cell
    on [x_t, h_{t-1}] is also that of Madsen & Johansen 2020 (sequential MNIST).

    Args:
        unit: called with (in_features + hidden, hidden) and (hidden, out_features), and a generator.

    Shapes: x (..., time, in_features) -> y (..., out_features).

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers; an input without a time axis, with none on
            it, or of another last dimension.
    """

    def __init__(
        self,
        unit: Callable[..., nn.Module],
        in_features: int,
        out_features: int,
        *,
        hidden: int = 2,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        self.hidden = checks.at_least(hidden, 1, "hidden")
        self.cell = unit(in_features + hidden, hidden, generator=generator)
        self.output = unit(hidden, out_features, generator=generator)

    def forward(self, x: Float[Tensor, "*batch time in"]) -> Float[Tensor, "*batch out"]:
        checks.sequence(x, self.in_features, type(self).__name__)
        h = x.new_zeros(*x.shape[:-2], self.hidden)
        for x_t in x.unbind(-2):
            h = self.cell(torch.cat([x_t, h], -1))
        return self.output(h)


class RNN(Unit):
    """h_t = f(W_x x_t + W_h h_{t-1} + b) with h_0 = 0, and an affine read-out of h_T.

    As `torch.nn.RNN`, with one bias instead of two, and initialised likewise, uniformly in ±1/sqrt(hidden).

    Shapes: W_x (hidden, in_features), W_h (hidden, hidden), b (hidden); x (..., time, in_features) ->
        y (..., out_features).

    Raises:
        TypeError, ValueError: as `Recurrent`; an activation that is not in ACTIVATIONS.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        hidden: int = 2,
        activation: str = "ReLU",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        self.hidden = checks.at_least(hidden, 1, "hidden")
        self.W_x, self.W_h, self.b = _initial(in_features, hidden, 1, generator)
        self.activation = ACTIVATIONS[checks.one_of(activation, list(ACTIVATIONS), "activation")]()
        self.output = Linear(hidden, out_features, generator=generator)

    def forward(self, x: Float[Tensor, "*batch time in"]) -> Float[Tensor, "*batch out"]:
        checks.sequence(x, self.in_features, "RNN")
        first, *rest = F.linear(x, self.W_x, self.b).unbind(-2)  # the inputs of all times in one product
        h = self.activation(first)  # of h_0 = 0
        for z in rest:
            h = self.activation(z + F.linear(h, self.W_h))
        return self.output(h)


class LSTMLayer(Unit):
    """The states h_t of a long short-term memory, at all times.

    i, f, g, o = split(W_x x_t + W_h h_{t-1} + b);  c_t = σ(f) c_{t-1} + σ(i) tanh(g);  h_t = σ(o) tanh(c_t).

    Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000; as `torch.nn.LSTM`, in its
    order of gates, with one bias instead of two. Initialised likewise, uniformly in ±1/sqrt(hidden).

    Shapes: W_x (4 hidden, in_features), W_h (4 hidden, hidden), b (4 hidden); x (..., time, in_features) ->
        h (..., time, hidden), hidden being out_features.

    Raises:
        TypeError, ValueError: as `Recurrent`.
    """

    def __init__(self, in_features: int, out_features: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__(in_features, out_features)
        self.W_x, self.W_h, self.b = _initial(in_features, out_features, 4, generator)

    def states(self, x: Float[Tensor, "*batch time in"]) -> list[Float[Tensor, "*batch out"]]:
        """h_1, ..., h_T, for who needs not all of them."""
        checks.sequence(x, self.in_features, "LSTM")
        return self.run(F.linear(x, self.W_x, self.b))

    def run(self, z: Float[Tensor, "*batch time gates"]) -> list[Float[Tensor, "*batch out"]]:
        """h_1, ..., h_T, given W_x x_t + b."""
        first, *rest = z.unbind(-2)
        i, _, g, o = first.chunk(4, -1)  # nothing to forget yet, and no state to multiply
        c = torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        states = [h]
        for z in rest:
            i, f, g, o = (z + F.linear(h, self.W_h)).chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            states.append(h)
        return states

    def forward(self, x: Float[Tensor, "*batch time in"]) -> Float[Tensor, "*batch time out"]:
        return torch.stack(self.states(x), -2)


class LSTM(Unit):
    """An `LSTMLayer` and an affine read-out of its last state.

    Shapes: x (..., time, in_features) -> y (..., out_features).

    Raises:
        TypeError, ValueError: as `Recurrent`.
    """

    def __init__(
        self, in_features: int, out_features: int, *, hidden: int = 2, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(in_features, out_features)
        self.layer = LSTMLayer(in_features, checks.at_least(hidden, 1, "hidden"), generator=generator)
        self.output = Linear(hidden, out_features, generator=generator)

    def forward(self, x: Float[Tensor, "*batch time in"]) -> Float[Tensor, "*batch out"]:
        return self.output(self.layer.states(x)[-1])


def _initial(
    in_features: int, hidden: int, gates: int, generator: torch.Generator | None
) -> tuple[nn.Parameter, nn.Parameter, nn.Parameter]:
    """W_x, W_h and b, one below the other for so many gates."""
    bound = hidden**-0.5
    shapes = (gates * hidden, in_features), (gates * hidden, hidden), (gates * hidden,)
    return tuple(nn.Parameter(nn.init.uniform_(torch.empty(s), -bound, bound, generator)) for s in shapes)

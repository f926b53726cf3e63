"""Networks that read a number in words: an embedding, an LSTM, and a unit that turns its states into a number."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from nalu import checks
from nalu.units import normal
from nalu.units.nalu import NALU
from nalu.units.recurrent import LSTMLayer

READS = ("every", "sum", "last")


class Reader(nn.Module):
    """An embedding, an LSTM, and a unit on its states h_t. Trask et al. 2018, section 4.3 and appendix D.

    What the unit reads: with `every`, each state, and its answers are summed, y = Σ_t unit(h_t); with `sum`, the sum of
    the states, y = unit(Σ_t h_t); with `last`, the state at the last word, y = unit(h_T).

    Args:
        vocabulary: number of words. Their tokens are 1 up to it; 0 is padding, behind the last word.
        unit: called with (hidden, 1) and a generator.

    Shapes: tokens (..., word) -> y (..., 1).

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers; an unknown `read`; tokens that are not whole
            numbers, or of no word.
        IndexError: tokens above the vocabulary.
    """

    def __init__(
        self,
        vocabulary: int,
        unit: Callable[..., nn.Module] = NALU,
        *,
        hidden: int = 16,
        embedding: int = 16,
        read: str = "every",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.read = checks.one_of(read, READS, "read")
        self.embedding = _embedding(vocabulary, embedding, generator)
        self.lstm = LSTMLayer(embedding, checks.at_least(hidden, 1, "hidden"), generator=generator)
        self.output = unit(hidden, 1, generator=generator)

    def states(self, tokens: Int[Tensor, "*batch word"]) -> Float[Tensor, "*batch word hidden"]:
        """h_t for each word, and beyond the last."""
        checks.tokens(tokens, "Reader")
        # Each word's share of the gates once for the vocabulary, not again wherever it occurs.
        shares = F.linear(self.embedding, self.lstm.W_x, self.lstm.b)
        return torch.stack(self.lstm.run(F.embedding(tokens, shares)), -2)

    def running(self, tokens: Int[Tensor, "*batch word"]) -> Float[Tensor, "*batch word 1"]:
        """The answer after each word, as if the sentence ended there."""
        h = self.states(tokens)
        if self.read == "every":
            return (self.output(h) * _there(tokens)).cumsum(-2)
        return self.output(h.cumsum(-2) if self.read == "sum" else h)

    def forward(self, tokens: Int[Tensor, "*batch word"]) -> Float[Tensor, "*batch 1"]:
        h, there = self.states(tokens), _there(tokens)
        if self.read == "every":
            return (self.output(h) * there).sum(-2)
        if self.read == "last":
            there = there & ~_there(_next(tokens))
        return self.output((h * there).sum(-2))


class Pairs(nn.Module):
    """y = Σ_t unit([e_t, e_{t+1}]): a unit on the embeddings of each word and the next, and no LSTM.

    What the reference repository trains as "LSTM + NALU". It can hold a number for each pair of neighbouring words, and
    a table of these is all that the task takes. The last word's neighbour is the padding.

    Args, Shapes, Raises: as `Reader`.
    """

    def __init__(
        self,
        vocabulary: int,
        unit: Callable[..., nn.Module] = NALU,
        *,
        embedding: int = 16,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.embedding = _embedding(vocabulary, embedding, generator)
        self.output = unit(2 * embedding, 1, generator=generator)

    def forward(self, tokens: Int[Tensor, "*batch word"]) -> Float[Tensor, "*batch 1"]:
        checks.tokens(tokens, "Pairs")
        pairs = torch.cat([F.embedding(tokens, self.embedding), F.embedding(_next(tokens), self.embedding)], -1)
        return (self.output(pairs) * _there(tokens)).sum(-2)


def _embedding(vocabulary: int, size: int, generator: torch.Generator | None) -> nn.Parameter:
    """A row for each word and one for padding, normal as in `nn.Embedding`."""
    shape = 1 + checks.at_least(vocabulary, 1, "vocabulary"), checks.at_least(size, 1, "embedding")
    return nn.Parameter(normal.drawn(*shape, generator=generator))


def _there(tokens: Int[Tensor, "*batch word"]) -> Tensor:
    """Whether there is a word, with a last axis of one for the states to come."""
    return (tokens > 0).unsqueeze(-1)


def _next(tokens: Int[Tensor, "*batch word"]) -> Int[Tensor, "*batch word"]:
    return F.pad(tokens[..., 1:], (0, 1))

"""Networks that read words, against torch's own layers, one sentence at a time."""

from functools import partial

import pytest
import torch
from helpers.seeds import seeded
from helpers.settings import told
from torch import Tensor, nn

from nalu import NAC, NALU, Linear, Pairs, Reader, Replicas, fit
from nalu.streams import stream
from nalu.tasks import LanguageToNumber
from nalu.training.replicas import build
from nalu.units.language import READS

TASK = LanguageToNumber()
MAKES = {
    **{read: partial(Reader, 30, NALU, hidden=5, read=read) for read in READS},
    "Linear": partial(Reader, 30, Linear, hidden=3, embedding=7, read="sum"),
    "NAC": partial(Reader, 30, NAC, hidden=3),
    "pairs": partial(Pairs, 30, NALU, embedding=6),
}  # fmt: skip


class Plain(nn.Module):
    """A reader of torch's own layers, which takes one sentence without padding."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        vocabulary, size = reader.embedding.shape
        self.embedding = nn.Embedding(vocabulary, size)
        self.lstm = nn.LSTM(size, reader.lstm.out_features)
        self.output, self.read = reader.output, reader.read
        values = (reader.embedding, reader.lstm.W_x, reader.lstm.W_h, reader.lstm.b)
        with torch.no_grad():
            for mine, its in zip((self.embedding.weight, *self.lstm.parameters()), values, strict=False):
                mine.copy_(its)
            self.lstm.bias_hh_l0.zero_()

    def forward(self, sentence: Tensor) -> Tensor:
        states, (last, _) = self.lstm(self.embedding(sentence))
        if self.read == "every":
            return sum(self.output(h) for h in states)
        return self.output(last[0] if self.read == "last" else states.sum(0))


@pytest.mark.parametrize("name", ["every", "sum", "last", "Linear", "NAC"])
def test_reader_equals_torchs_layers_one_sentence_at_a_time(name: str) -> None:
    reader = MAKES[name](generator=seeded(3)).double()
    plain = Plain(reader).double()
    numbers = torch.tensor([0, 7, 20, 21, 100, 101, 110, 334, 999])
    x, _ = TASK.sentences(numbers)
    sentences = [row[row > 0] for row in x]
    expected = torch.stack([plain(sentence) for sentence in sentences])
    torch.testing.assert_close(reader(x), expected)
    running = reader.running(x)
    for row, sentence in zip(running, sentences, strict=True):
        for t in range(len(sentence)):
            torch.testing.assert_close(row[t], plain(sentence[: t + 1]))
    reader(x).square().sum().backward()
    found = [p.grad.clone() for p in (reader.embedding, reader.lstm.W_x, reader.lstm.W_h)]
    expected.square().sum().backward()
    its = (plain.embedding.weight, plain.lstm.weight_ih_l0, plain.lstm.weight_hh_l0)
    for mine, other in zip(found, its, strict=True):
        torch.testing.assert_close(mine, other.grad)


def test_pairs_equal_a_loop_over_pairs() -> None:
    pairs = MAKES["pairs"](generator=seeded(3)).double()
    x, _ = TASK.sentences(torch.tensor([5, 42, 900, 917, 334]))
    for row, answer in zip(x, pairs(x), strict=True):
        sentence = [*row[row > 0].tolist(), 0]
        e = pairs.embedding
        expected = sum(pairs.output(torch.cat([e[a], e[b]])) for a, b in zip(sentence, sentence[1:], strict=False))
        torch.testing.assert_close(answer, expected)


@pytest.mark.parametrize("name", MAKES)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    network = MAKES[name](generator=seeded(0))
    x, y = TASK.sentences()
    (network(x) - y).abs().mean().backward()
    for path, p in network.named_parameters():
        assert p.grad is not None and p.grad.abs().sum() > 0, path


@pytest.mark.parametrize("name", MAKES)
@pytest.mark.parametrize("batch", [None, 8])
def test_a_replica_trains_as_if_alone(name: str, batch: int | None) -> None:
    """Over a few steps: near its poles NALU's gradients are of any size, and each step multiplies rounding by ten."""
    task = LanguageToNumber(batch=batch, seed=2)
    setting = {"seeds": [3, 1, 4], "steps": 4, "clip": 1.0, "dtype": torch.float64, "workers": 1}
    run = fit({name: MAKES[name]}, task, **told(loss=nn.functional.l1_loss, tests=task.tests(), **setting))
    network = build(MAKES[name], 1).double()
    update, data = torch.optim.Adam(network.parameters(), lr=1e-2), stream(2)
    xs, ys = task.draw(data, 100)
    for x, y in zip(xs[:4], ys[:4].double(), strict=True):
        update.zero_grad()
        (network(x) - y).abs().mean().backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        update.step()
    for path, p in run.replicas[name][1].named_parameters():
        torch.testing.assert_close(p, network.get_parameter(path), rtol=1e-9, atol=1e-9)
    last = run.table[(run.table.step == 4) & (run.table.seed == 1)]
    for kind, (x, y) in task.tests().items():
        assert last[kind].item() == pytest.approx((network(x) - y).abs().mean().item())


@pytest.mark.usefixtures("eager")
def test_a_replica_trains_as_if_alone_without_c() -> None:
    test_a_replica_trains_as_if_alone("last", 8)


def test_stacks_equal_alone_on_sentences_of_their_own() -> None:
    replicas = Replicas.build(MAKES["every"], range(3))
    x = torch.stack([TASK.sentences(torch.tensor([k, 30 + k, 334 + k]))[0] for k in range(3)])
    for r, answer in enumerate(replicas(x, own=True)):
        torch.testing.assert_close(answer, replicas[r](x[r]))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: Reader(30, read="first"), ValueError, "unknown read 'first': expected one of every, sum, last"),
        (lambda: Reader(0), ValueError, "vocabulary: expected at least 1, got 0"),
        (lambda: Reader(30, hidden=0), ValueError, "hidden: expected at least 1, got 0"),
        (lambda: Reader(30)(torch.ones(2, 5)), TypeError, "Reader expected a tensor of tokens"),
        (lambda: Reader(30)(torch.ones(2, 0, dtype=torch.long)), ValueError, r"shape \(..., word\), got \(2, 0\)"),
        (lambda: Pairs(30)("three"), TypeError, "Pairs expected a tensor of tokens"),
        (lambda: Reader(30)(torch.tensor([[31]])), IndexError, "out of range"),
    ],
)
def test_bad_input(call: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()

"""Numbers in words: the words, their tokens, and the split of the numbers in three sets."""

import pytest
import torch
from helpers.seeds import seeded

from nalu.tasks import LanguageToNumber
from nalu.tasks.language import words

TASK = LanguageToNumber()


@pytest.mark.parametrize(
    "number, text",
    [(0, "zero"), (13, "thirteen"), (40, "forty"), (88, "eighty eight"), (300, "three hundred"),
     (334, "three hundred and thirty four"), (1000, "one thousand")],
)  # fmt: skip
def test_words(number: int, text: str) -> None:
    assert " ".join(words(number)) == text


def test_vocabulary() -> None:
    assert len(TASK.vocabulary) == 30  # zero to nineteen, the eight tens, hundred, and
    assert TASK.vocabulary[:3] == ("zero", "one", "two")
    assert TASK.vocabulary[20:22] == ("twenty", "thirty") and TASK.vocabulary[-3:] == ("ninety", "hundred", "and")
    assert "thousand" in LanguageToNumber(largest=1000).vocabulary


def test_sentences_are_the_words_and_padding() -> None:
    x, y = TASK.sentences()
    assert x.shape == (1000, 5) and torch.equal(y.flatten(), torch.arange(1000.0))
    for number in range(1000):
        spelled = [TASK.vocabulary[token - 1] for token in x[number] if token > 0]
        assert tuple(spelled) == words(number)
        assert not x[number, len(spelled) :].any()
    assert len(x.unique(dim=0)) == 1000
    assert torch.equal(TASK.encode("Three hundred and thirty-four"), x[334])


@pytest.mark.parametrize("seed", [0, 1, 7, 12345])
def test_split(seed: int) -> None:
    task = LanguageToNumber(seed=seed)
    sets = task.split()
    assert {name: len(numbers) for name, numbers in sets.items()} == {"training": 169, "validation": 200, "test": 631}
    assert sorted(torch.cat(list(sets.values())).tolist()) == list(range(1000))  # none in two, none lost
    assert set(range(21)) <= set(sets["training"].tolist())
    x, _ = task.sentences(sets["training"])
    assert set(x.flatten().tolist()) == set(range(31))  # every word, and the padding
    assert all(torch.equal(again, sets[name]) for name, again in LanguageToNumber(seed=seed).split().items())


def test_splits_differ_by_seed_and_are_even() -> None:
    """Each number above 20 is as often for training as any other: 148 times of 979, within five standard errors."""
    counts = torch.zeros(1000)
    for seed in range(200):
        counts[LanguageToNumber(seed=seed).split()["training"]] += 1
    share = 148 / 979
    spread = (200 * share * (1 - share)) ** 0.5
    assert (counts[:21] == 200).all()
    assert ((counts[21:] - 200 * share).abs() < 5 * spread).all()


def test_no_test_number_is_drawn() -> None:
    allowed = set(TASK.split()["training"].tolist())
    x, y = LanguageToNumber(batch=16).draw(seeded(0), 300)
    assert x.shape == (300, 16, 5) and y.shape == (300, 16, 1)
    assert set(y.flatten().int().tolist()) == allowed
    assert torch.equal(x, TASK.sentences()[0][y.squeeze(-1).long()])
    assert all(len(batch.unique()) == 16 for batch in y)
    x, y = TASK.draw(seeded(0), 2)
    assert set(y[1].flatten().int().tolist()) == allowed and len(y[1]) == 169


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: words(-1), ValueError, "number: expected at least 0, got -1"),
        (lambda: words(2.5), TypeError, "number: expected a whole number, got 2.5"),
        (lambda: TASK.sentences(torch.tensor([3, 1000])), ValueError, "expected numbers from 0 to 999, got 1000"),
        (lambda: TASK.sentences(torch.tensor([-1])), ValueError, "expected numbers from 0 to 999, got -1"),
        (lambda: TASK.encode("three thousand"), ValueError, "unknown word 'thousand': expected one of zero, one"),
        (lambda: TASK.encode("  "), ValueError, "expected a number in words, got an empty sentence"),
        (lambda: LanguageToNumber(training=50), ValueError, "training: expected at least 51, got 50"),
        (lambda: LanguageToNumber(training=500, validation=500), ValueError, "leave numbers for the test, got 500"),
        (lambda: LanguageToNumber(batch=0), ValueError, "batch: expected at least 1, got 0"),
        (lambda: LanguageToNumber(batch=170), ValueError, "expected a batch of at most 169, got 170"),
        (lambda: LanguageToNumber(largest=50), ValueError, "largest: expected at least 99, got 50"),
        (lambda: LanguageToNumber(seed=-1), ValueError, "seed: expected at least 0, got -1"),
    ],
)
def test_bad_input(call: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()

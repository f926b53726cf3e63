"""Numbers as English words: the task of Trask et al. 2018, section 4.3 and appendix D."""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from nalu import checks
from nalu.streams import stream

SPLITS = 5
"""The stream of the splits."""

Sentences = tuple[Int[Tensor, "sentence word"], Float[Tensor, "sentence 1"]]


@cache
def words(number: int) -> tuple[str, ...]:
    """A number as English words: 334 is three, hundred, and, thirty, four.

    Raises:
        TypeError, ValueError: not a whole number, or below 0.
    """
    checks.at_least(number, 0, "number")
    with checks.extra("language", "numbers in words"):
        from num2words import num2words  # here, for no other task needs it

    return tuple(num2words(number).replace("-", " ").replace(",", "").split())


@dataclass(frozen=True)
class LanguageToNumber:
    """Read a number from 0 to `largest` in English words, and output it.

    A split in three is drawn from `seed`: a training set that holds 0 to 20 and every word, a validation and a test
    set. Every step takes the whole training set, as the paper's do, or a batch of it.

    Args:
        training, validation: sizes of the sets; the paper's are 169 and 200. What is left is for the test.
        batch: sentences of a step; all if not given.

    Raises:
        TypeError, ValueError: sizes that leave nothing for the test, or a training set too small for 0 to 20 and every
            word.
    """

    largest: int = 999
    training: int = 169
    validation: int = 200
    batch: int | None = None
    seed: int = 0

    shared = True

    def __post_init__(self) -> None:
        checks.at_least(self.largest, 99, "largest")
        checks.at_least(self.validation, 1, "validation")
        checks.at_least(self.training, 21 + len(self.vocabulary), "training")
        if self.batch is not None and checks.at_least(self.batch, 1, "batch") > self.training:
            raise ValueError(f"expected a batch of at most {self.training}, got {self.batch}")
        checks.at_least(self.seed, 0, "seed")
        if self.training + self.validation > self.largest:
            raise ValueError(
                f"expected sets that leave numbers for the test, got {self.training} for training and "
                f"{self.validation} for validation of {self.largest + 1}"
            )

    @property
    def fresh(self) -> bool:
        return self.batch is not None

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The words, in the order in which counting meets them. The first has token 1, for 0 is padding."""
        return _vocabulary(self.largest)

    def encode(self, sentence: str) -> Int[Tensor, " word"]:
        """Tokens of a sentence; hyphens are spaces.

        Raises:
            ValueError: a word that no number of the task has; no word at all.
        """
        found = sentence.replace("-", " ").lower().split()
        if not found:
            raise ValueError("expected a number in words, got an empty sentence")
        for word in found:
            checks.one_of(word, list(self.vocabulary), "word")
        return torch.tensor([1 + self.vocabulary.index(word) for word in found])

    def sentences(self, numbers: Int[Tensor, " sentence"] | None = None) -> Sentences:
        """Numbers as tokens, padded behind to the longest of the task, and as targets; all of them if none are given.

        Raises:
            ValueError: a number outside the range.
        """
        tokens = _tokens(self.largest)
        if numbers is None:
            numbers = torch.arange(self.largest + 1)
        outside = numbers[(numbers < 0) | (numbers > self.largest)]
        if len(outside):
            raise ValueError(f"expected numbers from 0 to {self.largest}, got {outside[0].item()}")
        return tokens[numbers], numbers.unsqueeze(1).to(torch.get_default_dtype())

    def split(self) -> dict[str, Int[Tensor, " number"]]:
        """The numbers of the training, the validation and the test set, each in increasing order."""
        generator = stream(SPLITS, self.seed)
        tokens = _tokens(self.largest)
        while True:
            others = 21 + torch.randperm(self.largest - 20, generator=generator)
            first, second = self.training - 21, self.training - 21 + self.validation
            training = torch.cat([torch.arange(21), others[:first]])
            if len(tokens[training].unique()) == len(self.vocabulary) + 1:  # and the padding
                sets = {"training": training, "validation": others[first:second], "test": others[second:]}
                return {name: numbers.sort().values for name, numbers in sets.items()}

    def draw(
        self, generator: torch.Generator, steps: int
    ) -> tuple[Int[Tensor, "steps batch word"], Float[Tensor, "steps batch 1"]]:
        """The whole training set at every step; or batches of different sentences."""
        x, y = self.sentences(self.split()["training"])
        if self.batch is None:
            return x.expand(steps, -1, -1), y.expand(steps, -1, -1)
        chosen = torch.rand(steps, len(x), generator=generator).argsort(-1)[:, : self.batch]
        return x[chosen], y[chosen]

    def tests(self) -> dict[str, Sentences]:
        """The three sets as inputs and targets."""
        return {name: self.sentences(numbers) for name, numbers in self.split().items()}


@cache
def _vocabulary(largest: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for number in range(largest + 1) for word in words(number)))


@cache
def _tokens(largest: int) -> Int[Tensor, "number word"]:
    place = {word: 1 + k for k, word in enumerate(_vocabulary(largest))}
    rows = [torch.tensor([place[word] for word in words(number)]) for number in range(largest + 1)]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=0)

"""Chapter 6's networks read the numbers that one types, in words and in any order."""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import pad

from nalu import checks
from nalu.live.front import FOLDER, STYLE, module
from nalu.live.networks import trained
from nalu.live.programs import LANES
from nalu.tasks.language import LanguageToNumber, words
from nalu.training.replicas import Replicas
from nalu.training.result import Fit

with checks.extra("plots", "widgets that train"):
    import anywidget
    import traitlets

    from nalu.book import plots
    from nalu.book.descriptions import description, number
    from nalu.book.sliders import picture


class Reading(anywidget.AnyWidget):
    """Networks that read a number in words, asked in the page: what they have added up after each word.

    The sixteen networks of a run with the least validation error answer, the chosen one first. What has been added up
    after a word is the answer to the words so far.

    Args:
        run: what `nalu.fit` made, watched on the task's sets.
        model: which of its models: from tokens to one number.
        task: what the run learned: numbers below a thousand.
        first: the number that is shown first.
        most: how many words can be read.

    Attributes:
        words: what was read last.
        networks: those that answer, the chosen one first.
        network: the chosen one.

    Raises:
        TypeError, ValueError: a model that is not there; a run without errors in validation; a task of numbers beyond
            999; `first` outside of the task, or `most` less than its longest number takes; and what
            `nalu.live.networks.trained` raises.
    """

    _esm = module("reading")
    _css = STYLE + (FOLDER / "reading.css").read_text(encoding="utf-8")
    program = traitlets.Dict().tag(sync=True)
    vocabulary = traitlets.List().tag(sync=True)
    sets = traitlets.Dict().tag(sync=True)
    largest = traitlets.Int().tag(sync=True)
    most = traitlets.Int().tag(sync=True)
    words = traitlets.Unicode().tag(sync=True)
    still = traitlets.Unicode().tag(sync=True)

    def __init__(self, run: Fit, model: str, task: LanguageToNumber, *, first: int = 334, most: int = 12) -> None:
        checks.one_of(model, list(run.replicas), "model")
        if "validation" not in run.watched:
            raise ValueError(f"run: expected errors in validation, got {', '.join(run.watched) or 'none'}")
        if task.largest > 999:
            raise ValueError(f"task: expected numbers up to 999, got {task.largest}")
        task.sentences(torch.tensor([first]))  # refuses one outside
        tokens, _ = task.sentences()
        checks.at_least(most, tokens.shape[1], "most")
        rows = run.groups()[model]
        order = np.where(rows.diverged, np.inf, rows.validation).argsort(kind="stable")[:LANES]
        self.networks = run.replicas[model].of(run.replicas[model].state[:, order.copy()].contiguous())
        parts = task.split()
        super().__init__(
            program=trained(self.networks, pad(tokens, (0, most - tokens.shape[1]))),
            vocabulary=list(task.vocabulary),
            sets={name: parts[name].tolist() for name in ("training", "validation")},
            largest=task.largest,
            most=most,
            words=" ".join(words(first)),
            still=_still(self.networks, task, first),
        )

    @property
    def network(self) -> nn.Module:
        return self.networks[0]


def _still(networks: Replicas, task: LanguageToNumber, shown: int) -> str:
    """The picture for where nothing is computed: no script, or an old browser."""
    said = words(shown)
    tokens = task.encode(" ".join(said))
    prefixes = torch.stack([pad(tokens[: k + 1], (0, len(said) - k - 1)) for k in range(len(said))])
    answers = networks(prefixes).squeeze(-1).numpy()
    edges = np.arange(len(said) + 1)
    figure, axes = plots.plt.subplots(figsize=(5.6, 3))
    for row in answers[1:]:
        axes.stairs(row, edges, baseline=None, color=plots.COLOURS["NALU"], alpha=0.4, linewidth=1)
    axes.stairs(answers[0], edges, baseline=None, color=plots.COLOURS["NALU"], linewidth=2)
    axes.axhline(shown, color="0.3", linestyle="--", linewidth=1)
    axes.set_xticks(edges[:-1] + 0.5, said)
    axes.set_ylabel("added up")
    steps = ", ".join(f"{word} {number(value)}" for word, value in zip(said, answers[0], strict=True))
    read = f"“{' '.join(said)}”, read by {len(networks)} networks"
    plots.describe(figure, f"{read}; what the chosen one has added up after each word: {steps}")
    plots.plt.close(figure)
    return picture(figure, description(figure), figure.get_tightbbox().padded(0.1), dpi=144)

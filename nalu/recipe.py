"""How a unit is trained: what its paper, or the benchmark that published its numbers, prescribes."""

from dataclasses import dataclass

from nalu.schedules import Schedule


@dataclass(frozen=True)
class Restart:
    """Draw a replica's parameters anew where its loss has stayed high, and does not fall.

    The rule of the iNALU (Schlör et al. 2020, and its code). The losses since the last restart are cut into an earlier
    and a later half. The mean of the later one is high, and that of the earlier one is no more than a standard
    deviation of the later losses above it.

    Args:
        every: at steps that are multiples of this,
        after: where more than so many steps are done since the last restart,
        above: and the mean loss of the later half is above this.
    """

    every: int = 10
    after: int = 5_000
    above: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """What `nalu.fit` is told for a unit, besides the task.

    Args:
        lr: learning rate of Adam.
        penalty: weight of the unit's `penalty()` in the loss, by the share of the steps that is done.
        penalty_below: where given, a replica is penalised only while its loss is below this.
        clip: largest norm of a replica's gradient.
        clip_value: largest size of each number of the gradient.
        restart: when to draw a replica's parameters anew.
    """

    lr: float = 1e-3
    penalty: Schedule | None = None
    penalty_below: float | None = None
    clip: float | None = None
    clip_value: float | None = None
    restart: Restart | None = None

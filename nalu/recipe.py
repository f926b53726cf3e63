"""What training is told besides the task: one object, a recipe."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Real

import torch
import torch.nn.functional as F
from torch import Tensor

from nalu import checks
from nalu.schedules import Schedule

Loss = Callable[[Tensor, Tensor], Tensor]
"""Maps the output and the target of one network to a scalar."""


@dataclass(frozen=True)
class Clip:
    """Limits on a network's gradient.

    Args:
        norm: of the whole gradient, over all parameters; a longer one is shortened to it.
        value: of each number in it; a larger one is cut to it, after the norm.

    Raises:
        TypeError, ValueError: a limit that is not a positive number; none.
    """

    norm: float | None = None
    value: float | None = None

    def __post_init__(self) -> None:
        if self.norm is None and self.value is None:
            raise ValueError("clip: expected a norm or a value, got neither")
        for what, limit in {"clip by norm": self.norm, "clip by value": self.value}.items():
            if limit is not None:
                checks.positive(limit, what)


@dataclass(frozen=True)
class Penalty:
    """What networks' modules return from their methods `penalty()` is added to the loss.

    Args:
        weight: times this, given the share of the steps that is done; or a number, the same for all steps.
        below: only while the network's loss is below this.

    Raises:
        TypeError, ValueError: a weight that is neither a function nor a finite number of at least 0; a limit that is
            not a positive number.
    """

    weight: Schedule | float
    below: float | None = None

    def __post_init__(self) -> None:
        if not callable(self.weight) and (self.weight != 0 or isinstance(self.weight, bool)):
            checks.positive(self.weight, "penalty")
        if self.below is not None:
            checks.positive(self.below, "penalty below")


@dataclass(frozen=True)
class Restart:
    """Draw a network's parameters anew where its loss has stayed high, and does not fall; its optimiser goes on.

    The rule of the iNALU (Schlör et al. 2020, and its code). The losses since the last restart are cut into an earlier
    and a later half. The mean of the later one is high, and that of the earlier one is no more than a standard
    deviation of the later losses above it.

    Args:
        every: at steps that are multiples of this,
        after: where more than so many steps are done since the last restart,
        above: and the mean loss of the later half is above this.

    Raises:
        TypeError, ValueError: steps that are not whole numbers, every from 1, after from 0; no loss above.
    """

    every: int = 10
    after: int = 5_000
    above: float = 1.0

    def __post_init__(self) -> None:
        checks.at_least(self.every, 1, "restart every")
        checks.at_least(self.after, 0, "restart after")
        if not isinstance(self.above, Real) or not self.above >= 0:  # NaN compares false
            raise ValueError(f"restart above: expected a loss, a number of at least 0, got {self.above!r}")


@dataclass(frozen=True)
class Recipe:
    """How to train a network.

    Args:
        lr: learning rate.
        rates: other learning rates, by the names of modules in the network, such as "cell"; they hold for all
            parameters in there.
        optimizer: Adam, AdamW, SGD, RMSprop or Adagrad of torch.optim; `functools.partial` gives it options.
        loss: maps the output and the target to a scalar.
        schedule: a factor on all learning rates, given the share of the steps that are done; see `nalu.schedules`.
        clip: limits on the gradient.
        penalty: what is added to the loss.
        restart: when to draw the parameters anew.

    Raises:
        TypeError, ValueError: a learning rate that is not a positive number; something else where one of the classes
            above, or a function, is expected.
    """

    lr: float = 1e-3
    rates: Mapping[str, float] = field(default_factory=dict, hash=False)
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam
    loss: Loss = F.mse_loss
    schedule: Schedule | None = None
    clip: Clip | None = None
    penalty: Penalty | None = None
    restart: Restart | None = None

    def __post_init__(self) -> None:
        checks.positive(self.lr, "learning rate")
        if not isinstance(self.rates, Mapping):
            raise TypeError(f"rates: expected learning rates by the names of modules, got {self.rates!r}")
        object.__setattr__(self, "rates", dict(self.rates))  # the caller's may change
        for name, rate in self.rates.items():
            if not isinstance(name, str):
                raise TypeError(f"rates: expected names of modules, got {name!r}")
            checks.positive(rate, f"learning rate of {name}")
        if not callable(self.optimizer):
            raise TypeError(f"optimizer: expected one of torch.optim, got {self.optimizer!r}")
        if not callable(self.loss) or isinstance(self.loss, type):
            raise TypeError(f"loss: expected a function of output and target, got {self.loss!r}")
        if self.schedule is not None and not callable(self.schedule):
            raise TypeError(
                f"schedule: expected a function of the share of the steps that is done, got {self.schedule!r}"
            )
        for kind in (Clip, Penalty, Restart):
            value = getattr(self, kind.__name__.lower())
            if value is not None and not isinstance(value, kind):
                name = kind.__name__
                raise TypeError(f"{name.lower()}: expected a {name} (nalu.recipe.{name}), got {value!r}")

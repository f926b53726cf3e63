"""What every unit has in common: two sizes, checked."""

from torch import nn

from nalu import checks


class Unit(nn.Module):
    """A layer from in_features to out_features numbers.

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features = checks.at_least(in_features, 1, "in_features")
        self.out_features = checks.at_least(out_features, 1, "out_features")

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}"

"""How far each replica's outputs are from the targets."""

from jaxtyping import Float
from torch import Tensor


def mean_absolute_error(
    outputs: Float[Tensor, "replica batch out"], targets: Float[Tensor, "batch out"]
) -> Float[Tensor, " replica"]:
    """Each replica's mean absolute error, in the unit of the targets; NaN or infinite where a replica has diverged.

    Raises:
        ValueError: outputs and targets of different shapes.
    """
    return _differences(outputs, targets).abs().mean(1)


def mean_squared_error(
    outputs: Float[Tensor, "replica batch out"], targets: Float[Tensor, "batch out"]
) -> Float[Tensor, " replica"]:
    """Each replica's mean squared error; NaN or infinite where a replica has diverged.

    Raises:
        ValueError: outputs and targets of different shapes.
    """
    return _differences(outputs, targets).square().mean(1)


def _differences(
    outputs: Float[Tensor, "replica batch out"], targets: Float[Tensor, "batch out"]
) -> Float[Tensor, "replica number"]:
    if outputs.shape[1:] != targets.shape:
        raise ValueError(f"expected outputs of shape (replicas, {tuple(targets.shape)}), got {tuple(outputs.shape)}")
    return (outputs - targets).flatten(1)

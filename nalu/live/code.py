"""What a reader takes home from a page that trains: Python that makes the same networks, and that trains them again."""

import sys
from collections.abc import Mapping
from functools import partial

from nalu.recipe import Recipe
from nalu.training.replicas import Build

NETWORKS = """\
# {replicas} networks: {name}, trained on {low} to {high} for {steps} steps in a page of the book.
# This needs the package of the book.
import torch
{imports}

weights = torch.tensor({weights}, dtype=torch.float32)
networks = [{network} for _ in weights]
for network, row in zip(networks, weights):
    torch.nn.utils.vector_to_parameters(row, network.parameters())

x = torch.tensor([[{low}], [{high}], [1000.0]])
print(networks[0](x))
"""

TRAINING = """\
# {name}, trained on {low} to {high} for {steps} steps, as in a page of the book: the same networks, to the last bit.
# This needs the package of the book.
from functools import partial

import torch
{imports}
from nalu import Recipe, fit
from nalu.live.programs import digest
from nalu.live.retrain import lanes_of


class Numbers:
    \"\"\"Numbers from one end of a range to the other, evenly spaced, each its own target.\"\"\"

    fresh = shared = False

    def __init__(self, low, high):
        self.x = torch.tensor([[low + (high - low) * k / {last}] for k in range({last} + 1)])

    def draw(self, generator, steps):
        x = self.x.expand(steps, -1, -1)
        return x, x.clone()


make = {make}
run = fit({{"{name}": make}}, Numbers({low}, {high}), {recipe}, seeds={seeds}, steps={steps})
networks = run.replicas["{name}"]
assert digest(lanes_of(networks)) == {digest}, "not the bits of the page"
networks(torch.tensor([[{low}.0], [{high}.0], [1000.0]])).squeeze(-1)
"""


def expression(make: Build) -> tuple[str, str, str]:
    """How a model is made: what to import, the call, and what makes it when it is called.

    Raises:
        TypeError: it is neither a class or function of `nalu`, nor a `functools.partial` of one.
    """
    function, words, named = (make.func, make.args, make.keywords) if isinstance(make, partial) else (make, (), {})
    used = [each for each in (function, *words) if callable(each)]
    if not all(getattr(sys.modules["nalu"], getattr(each, "__name__", ""), None) is each for each in used):
        raise TypeError(f"expected what nalu has, or a partial of it, got {make!r}")
    told = [each.__name__ if callable(each) else repr(each) for each in words]
    told += [f"{name}={value!r}" for name, value in named.items()]
    names = ", ".join(sorted(each.__name__ for each in used))
    call, delayed = f"{function.__name__}({', '.join(told)})", ", ".join([function.__name__, *told])
    return f"from nalu import {names}", call, f"partial({delayed})" if told else function.__name__


def recipe_of(recipe: Recipe) -> str:
    """A recipe as it is written, without what it has anyway.

    Raises:
        TypeError: it holds what has no such words, as a function has not.
    """
    plain = vars(Recipe())
    told = {name: value for name, value in vars(recipe).items() if value != plain[name]}
    if others := [name for name, value in told.items() if not isinstance(value, int | float)]:
        raise TypeError(f"expected a recipe of numbers, got one with {', '.join(others)}")
    return f"Recipe({', '.join(f'{name}={value!r}' for name, value in told.items())})"


def takeaway(name: str, make: Build, recipe: Recipe, seeds: list[int]) -> Mapping[str, str]:
    """The code of one model, `networks` and `training`; what the page knows is left in braces, as {steps}.

    Raises:
        TypeError: see `expression` and `recipe_of`.
    """
    imports, call, delayed = expression(make)
    known = {"name": name, "imports": imports, "replicas": len(seeds), "network": call, "make": delayed}
    known |= {"recipe": recipe_of(recipe), "seeds": f"range({len(seeds)})" if seeds == [*range(len(seeds))] else seeds}
    later = {key: f"{{{key}}}" for key in ("low", "high", "steps", "weights", "digest", "last")}
    return {"networks": NETWORKS.format(**known, **later), "training": TRAINING.format(**known, **later)}

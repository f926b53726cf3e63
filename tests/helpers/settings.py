"""Arguments of `nalu.fit` in one row, for tests that change one of them at a time."""

from dataclasses import fields

from nalu import Clip, Penalty, Recipe, Watch

RECIPE = {field.name for field in fields(Recipe)}
WATCH = {field.name for field in fields(Watch)}


def told(**settings: object) -> dict[str, object]:
    """The same settings, with the recipe's in a recipe and those of what is watched in a watch.

    The learning rate is 1e-2 if it is not given; `clip` may be the norm, and `penalty` the weight.
    """
    recipe = {"lr": 1e-2} | {name: settings.pop(name) for name in RECIPE & settings.keys()}
    watch = {name: settings.pop(name) for name in WATCH & settings.keys()}
    if isinstance(recipe.get("clip"), float):
        recipe["clip"] = Clip(norm=recipe["clip"])
    if callable(recipe.get("penalty")):
        recipe["penalty"] = Penalty(recipe["penalty"])
    return settings | {"recipe": Recipe(**recipe), "watch": Watch(**watch)}

"""Ways to look at what the benchmark trains, or to keep it from training."""

import pytest
from helpers.single_module import Trained

from nalu import Fit, fit
from nalu.experiments import benchmarking


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[Fit]:
    """What `fit` returned to the benchmark, but for the one step that it tries first."""
    kept = []

    def watched(*models_and_tasks: object, steps: int, **settings: object) -> Fit:
        run = fit(*models_and_tasks, steps=steps, **settings)
        if steps > 1:
            kept.append(run)
        return run

    monkeypatch.setattr(benchmarking, "fit", watched)
    return kept


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is trained for more than the one step that is tried first."""

    def refuse(*models_and_tasks: object, steps: int, **settings: object) -> Fit:
        if steps > 1:
            raise Trained(settings)
        return fit(*models_and_tasks, steps=steps, **settings)

    monkeypatch.setattr(benchmarking, "fit", refuse)

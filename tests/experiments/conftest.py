"""Contexts of runs, for tests of all experiments."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from plastorch.engine.run import RunFolder
from plastorch.experiments.context import Context
from plastorch.experiments.registry import find


@pytest.fixture(scope="module")
def context(request: pytest.FixtureRequest) -> Callable[..., Context]:
    """Function from a folder to the context of a run of the test module's ``EXPERIMENT``."""
    experiment = find(request.module.EXPERIMENT)

    def make(
        path: Path,
        *,
        seed: int = 0,
        data: Path | None = None,
        quick: bool = True,
        tell: Callable[[str], None] = lambda line: None,
    ) -> Context:
        path.mkdir(parents=True, exist_ok=True)
        return Context(
            run=RunFolder(path),
            experiment=experiment,
            seed=seed,
            device=torch.device("cpu"),
            data=data,
            quick=quick,
            tell=tell,
        )

    return make

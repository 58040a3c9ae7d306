"""Random numbers of examples in docstrings are the same each time, in any order of the tests."""

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded(request: pytest.FixtureRequest) -> None:
    """Seeds torch for an example."""
    if isinstance(request.node, pytest.DoctestItem):
        torch.manual_seed(0)

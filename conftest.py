"""For tests and examples in docstrings alike: which process runs them, and their random numbers."""

from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent
COMPILED = ("stp", "spiking", "efference")
"""Folders of tests, and of what they test, whose kernels take long to compile."""


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Has one process run the tests of a file, or of such a folder, so that no other one executes
    the same pages or compiles the same kernels. What takes longest comes first."""
    for item in items:
        if item.path.name != "test_kernels.py":  # each of its tests has kernels of its own
            item.add_marker(pytest.mark.xdist_group(group(item.path)))
    items.sort(key=lambda item: rank(item.path))


def group(path: Path) -> str:
    """Returns the name of what one process runs."""
    folder = next((name for name in COMPILED if name in path.parts), None)
    return folder or str(path.relative_to(ROOT))


def rank(path: Path) -> int:
    """Returns the place in the order: newcomer's hour, commands and pages, kernels, the rest."""
    if path.name == "test_newcomer.py":
        return 0
    if path.parent == ROOT / "tests":
        return 1
    return 2 if group(path) in COMPILED else 3


@pytest.fixture(autouse=True)
def seeded(request: pytest.FixtureRequest) -> None:
    """Seeds torch for an example, which is then the same in any order of the tests."""
    if isinstance(request.node, pytest.DoctestItem):
        torch.manual_seed(0)

"""Options and fixtures that all tests share."""

from pathlib import Path

import pytest
import torch


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        default=Path(__file__).parent / "golden",
        type=Path,
        help="folder of golden vectors",
    )


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tests run side by side; more threads than cores would only make them wait for each other."""
    torch.set_num_threads(1)

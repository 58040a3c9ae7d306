"""Digits that small networks learn in a moment."""

import pytest
import torch

from plastorch.spiking.shortterm.recognition import Digits


@pytest.fixture
def digits() -> Digits:
    """Bars at four places, told apart by where they are."""
    labels = torch.arange(40) % 4
    images = torch.zeros(40, 8, 8)
    for image, label in zip(images, labels, strict=True):
        image[:, 2 * label : 2 * label + 2] = 1
    return Digits(images, labels)

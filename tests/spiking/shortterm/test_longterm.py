"""Constants of long-term learning; what is learned is tested with the spikes that teach it."""

import math
from typing import Any

import pytest

from plastorch.engine.errors import InputError
from plastorch.spiking.shortterm.longterm import LongTerm


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"rate": 0.0}, "rate is 0.0; expected more than 0, up to 1"),
        ({"rate": 1.5}, "rate is 1.5"),
        ({"rate": math.nan}, "rate is nan"),
        ({"decline": 0.0}, "decline is 0.0"),
        ({"homeostasis": -1.0}, "homeostasis is -1.0"),
        ({"kappa": 0.0}, "kappa is 0.0"),
    ],
)
def test_bad_constants(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        LongTerm(**setting)

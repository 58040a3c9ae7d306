"""Layout of keys and their neurons in a network, learned from training records."""

from collections.abc import Sequence
from math import ceil

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plastorch.files.encode import CorrelativeEncoder
from plastorch.files.key import Key
from plastorch.files.pairs import Pair
from plastorch.spiking.patterns.parts import Parts
from plastorch.spiking.patterns.rule import PatternNeuron

WINDOW, TAIL = 20e-3, 5e-3
"""Seconds during which inputs fire, and further seconds in which the network may answer."""


def lay_out(
    frame: pl.DataFrame, keys: Sequence[Key], pairs: Sequence[Pair], bins: int, seed: int
) -> tuple[CorrelativeEncoder, NDArray[np.uint8]]:
    """Returns an encoder and the records' spike patterns [B, N].

    Keys with many neurons and few different patterns come first.
    """
    parts = CorrelativeEncoder(keys, bins, seed, pairs).encode_parts(frame)
    different = np.array([len(table) for table in parts.tables[: len(keys)]])
    shared = np.array([key.neurons for key in keys]) / np.log2(different + 1)
    order = np.argsort(-shared, kind="stable").tolist()
    encoder = CorrelativeEncoder([keys[part] for part in order], bins, seed, pairs)
    order += range(len(keys), len(parts.tables))
    return encoder, Parts([parts.tables[part] for part in order], parts.codes[:, order]).assemble()


def neuron_for(bins: int) -> PatternNeuron:
    """Returns neurons whose time step divides the input window into this many bins."""
    step = WINDOW / bins
    return PatternNeuron(dt=step, input_steps=bins, tail_steps=ceil(TAIL / step - 1e-9))

"""Layout of keys and their neurons in a network, learned from training records."""

from math import ceil

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plastorch.files.encode import CorrelativeEncoder
from plastorch.files.keys import infer_keys
from plastorch.spiking.patterns.parts import Parts
from plastorch.spiking.patterns.rule import PatternNeuron

WINDOW, TAIL = 20e-3, 5e-3
"""Seconds during which inputs fire, and further seconds in which the network may answer."""


def lay_out(
    frame: pl.DataFrame, codes: NDArray[np.int64], neurons: int, bins: int, seed: int
) -> tuple[CorrelativeEncoder, NDArray[np.uint8]]:
    """Learns the keys of records; returns an encoder and the records' spike patterns [B, N].

    Keys with many neurons and few different patterns come first.
    """
    keys = infer_keys(frame, codes, neurons)
    parts = CorrelativeEncoder(keys, bins, seed).encode_parts(frame)
    different = np.array([len(table) for table in parts.tables])
    shared = np.array([key.neurons for key in keys]) / np.log2(different + 1)
    order = np.argsort(-shared, kind="stable")
    encoder = CorrelativeEncoder([keys[part] for part in order], bins, seed)
    return encoder, Parts([parts.tables[part] for part in order], parts.codes[:, order]).assemble()


def neuron_for(bins: int) -> PatternNeuron:
    """Returns neurons whose time step divides the input window into this many bins."""
    step = WINDOW / bins
    return PatternNeuron(dt=step, input_steps=bins, tail_steps=ceil(TAIL / step - 1e-9))

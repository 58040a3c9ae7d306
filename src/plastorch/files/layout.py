"""How keys and their neurons are laid out in a network, from the records that it learns from."""

from math import ceil

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plastorch.files.encode import CorrelativeEncoder
from plastorch.files.key_patterns import encode_parts
from plastorch.files.keys import infer_keys
from plastorch.spiking.patterns.parts import Parts
from plastorch.spiking.patterns.rule import PatternNeuron

WINDOW, TAIL = 20e-3, 5e-3
"""Seconds in which inputs fire, and in which the network may still answer."""


def lay_out(
    frame: pl.DataFrame, codes: NDArray[np.int64], neurons: int, bins: int, seed: int
) -> tuple[CorrelativeEncoder, NDArray[np.uint8]]:
    """Learns the keys of records, and encodes the records.

    Keys with many neurons and few different patterns come first, as answers to many records share
    what these do: see :mod:`plastorch.spiking.patterns.parts`.

    Args:
        frame: records [B].
        codes: their classes [B].
        neurons: N, of all keys.
        bins: of the encoder.
        seed: of the encoder.

    Returns:
        The encoder, and the records' patterns [B, N].

    Raises:
        InputError: if no key tells anything, or there are fewer neurons than keys.
    """
    keys = infer_keys(frame, codes, neurons)
    parts = encode_parts(CorrelativeEncoder(keys, bins, seed), frame)
    different = np.array([len(table) for table in parts.tables])
    shared = np.array([key.neurons for key in keys]) / np.log2(different + 1)
    order = np.argsort(-shared, kind="stable")
    encoder = CorrelativeEncoder([keys[part] for part in order], bins, seed)
    return encoder, Parts([parts.tables[part] for part in order], parts.codes[:, order]).assemble()


def neuron_for(bins: int) -> PatternNeuron:
    """Neurons whose steps divide the same window into more or fewer bins.

    Example:
        >>> neuron_for(20) == PatternNeuron(), neuron_for(40).dt
        (True, 0.0005)
    """
    step = WINDOW / bins
    return PatternNeuron(dt=step, input_steps=bins, tail_steps=ceil(TAIL / step - 1e-9))

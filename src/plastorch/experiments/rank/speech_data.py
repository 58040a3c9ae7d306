"""Spoken words in batches for training and reading."""

from typing import NamedTuple

import torch

from plastorch.data.audio.frames import (
    Frames,
    Scale,
    louder,
    masked,
    moved,
    read_frames,
    scale_of,
    stretched,
)
from plastorch.data.audio.logmel import LogMel
from plastorch.data.audio.recordings import PARTS, SpeechSet
from plastorch.engine.streams import stream
from plastorch.experiments.rank.streams import SpeechStream
from plastorch.learning.phases import EpochOrder
from plastorch.rank import Batch

MOST_MOVED, MOST_HIDDEN = 10, (10, 5)
"""Maximum shift of training words, frames; maximum numbers of frames and bands that are hidden."""
FASTER, LOUDER = 0.15, 0.3
"""Maximum change of the speed of varied words, and standard deviation of that of their loudness."""


class Words(NamedTuple):
    """Spoken words in standard units."""

    train: Frames
    validation: Frames
    test: Frames

    def order(self, size: int, seed: int) -> EpochOrder:
        """Returns the order of training words in batches of a size."""
        path = seed, SpeechStream.WORD_ORDER
        return EpochOrder(len(self.train.labels), size, *path, drop_last=True)

    def training_batch(self, order: EpochOrder, number: int, varied: bool = False) -> Batch:
        """Returns training words on the CPU, each shifted and partly hidden at random; if varied,
        of another speed and loudness, too."""
        words = self.train.rows(order(number))
        random = stream(order.seed, SpeechStream.VARIATIONS, number)
        bands = words.bands[:, : int(words.lengths.max())]
        if varied:
            bands = stretched(bands, words.lengths, FASTER, random)
            bands = louder(bands, words.lengths, LOUDER, random)
        bands = moved(bands, words.lengths, MOST_MOVED, random)
        bands = masked(bands, *MOST_HIDDEN, random, words.lengths)
        return Batch(bands.transpose(0, 1), words.labels, words.lengths)


def read_words(speech: SpeechSet, front: LogMel) -> tuple[Words, Scale]:
    """Returns the words of a data set, and the scale that standardizes them."""
    frames = read_frames(speech, front)
    scale = scale_of(frames.rows(speech.rows("train")))
    return Words(*(scale(frames.rows(speech.rows(part))) for part in PARTS)), scale


def batches(words: Frames, device: torch.device, size: int = 500) -> list[Batch]:
    """Returns all words, in parts of the same number of frames."""
    whole = Batch(words.bands.transpose(0, 1), words.labels, words.lengths)
    return whole.to(device).split(size)

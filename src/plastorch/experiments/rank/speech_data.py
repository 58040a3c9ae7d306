"""Spoken words in the batches that networks learn from and are read on."""

from typing import NamedTuple

import torch

from plastorch.data.audio.frames import Frames, Scale, masked, moved, read_frames, scale_of
from plastorch.data.audio.logmel import LogMel
from plastorch.data.audio.recordings import PARTS, SpeechSet
from plastorch.engine.device import generator
from plastorch.rank import Batch
from plastorch.rank.train import batch_rows

MOST_MOVED, MOST_HIDDEN = 10, (10, 5)
"""Training words are moved by up to so many frames; so many frames and bands are hidden at most."""
QUICK = (300, 100, 100)
"""Words of a smoke run for training, for validation and for the test."""


class Words(NamedTuple):
    """Spoken words, in standard units."""

    train: Frames
    validation: Frames
    test: Frames

    def training_batch(self, number: int, size: int, seed: int) -> Batch:
        """A batch of training words, each moved and partly hidden at random; on the CPU."""
        rows = batch_rows(number, len(self.train.labels), size, (seed, 1))
        words, random = self.train.rows(rows), generator(seed, 2, number)
        bands = words.bands[:, : int(words.lengths.max())]
        bands = moved(bands, words.lengths, MOST_MOVED, random)
        bands = masked(bands, *MOST_HIDDEN, random, words.lengths)
        return Batch(bands.transpose(0, 1), words.labels, words.lengths)


def read_words(speech: SpeechSet, front: LogMel) -> tuple[Words, Scale]:
    """The words of a set, and what brings them to standard units.

    Raises:
        InputError: if a file is damaged.
    """
    frames = read_frames(speech, front)
    scale = scale_of(frames.rows(speech.rows("train")))
    return Words(*(scale(frames.rows(speech.rows(part))) for part in PARTS)), scale


def batches(words: Frames, device: torch.device, size: int = 500) -> list[Batch]:
    """All words, in parts of the same number of frames."""
    firsts = range(0, len(words.labels), size)
    parts = [words.rows(torch.arange(len(words.labels))[first : first + size]) for first in firsts]
    return [on(Batch(p.bands.transpose(0, 1), p.labels, p.lengths), device) for p in parts]


def on(batch: Batch, device: torch.device) -> Batch:
    """A batch on a device."""
    lengths = None if batch.lengths is None else batch.lengths.to(device)
    return Batch(batch.x.to(device), batch.labels.to(device), lengths)


def smoke(speech: SpeechSet, seed: int) -> SpeechSet:
    """A set with few of its words."""
    random, kept = generator(seed, 9), []
    for part, count in zip(PARTS, QUICK, strict=True):
        rows = speech.rows(part)
        kept.append(rows[torch.randperm(len(rows), generator=random)[:count]])
    return speech.some(torch.cat(kept).sort().values)

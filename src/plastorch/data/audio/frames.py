"""Spoken words as frames of band energies, in memory, and how they are varied in training."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from plastorch.data.audio.logmel import LogMel, speech_onset
from plastorch.data.audio.recordings import SpeechSet
from plastorch.data.audio.wav import read_wav
from plastorch.engine.errors import InputError


class Frames(NamedTuple):
    """N spoken words."""

    bands: Tensor
    """Logarithms of band energies, 0 after a word's end, float32 [N, T, bands]."""
    lengths: Tensor
    """Frames of each word, int64 [N]."""
    onset: Tensor
    """The frame where each word begins, as far as its energy tells, int64 [N]."""
    labels: Tensor
    """int64 [N]."""

    def rows(self, rows: Tensor) -> "Frames":
        """Some of the words."""
        return Frames(*(part[rows] for part in self))


class Scale(NamedTuple):
    """What makes the training set's bands have mean 0 and variance 1."""

    mean: Tensor
    """Of each band [bands]."""
    deviation: Tensor
    """Standard deviation of each band [bands]."""

    def __call__(self, frames: Frames) -> Frames:
        """Words in standard units; what comes after their ends stays 0."""
        inside = torch.arange(frames.bands.shape[1]) < frames.lengths[:, None]
        bands = (frames.bands - self.mean) / self.deviation * inside[..., None]
        return frames._replace(bands=bands)


def read_frames(speech: SpeechSet, front: LogMel) -> Frames:
    """Reads a set's files; what is shorter than a frame is filled up with silence.

    Args:
        speech: The set.
        front: Makes frames; files are resampled to its rate.

    Raises:
        InputError: A file is damaged.
    """
    found = []
    for path in speech.files:
        samples = read_wav(path, front.rate).samples
        found.append(front(pad(samples, (0, max(0, front.window - len(samples))))))
    return Frames(
        torch.nn.utils.rnn.pad_sequence(found, batch_first=True),
        torch.tensor([len(frames) for frames in found]),
        torch.tensor([speech_onset(frames) for frames in found]),
        speech.labels,
    )


def scale_of(frames: Frames) -> Scale:
    """Mean and standard deviation of each band over the frames of some words.

    Raises:
        InputError: A band is the same in all frames.

    Example:
        >>> bands = torch.tensor([[[1.0], [3.0], [0.0]]])
        >>> one = torch.tensor([1])
        >>> scale_of(Frames(bands, torch.tensor([2]), one, one)).mean
        tensor([2.])
    """
    inside = torch.arange(frames.bands.shape[1]) < frames.lengths[:, None]
    deviation, mean = torch.std_mean(frames.bands[inside], dim=0, correction=0)
    if not bool((deviation > 0).all()):
        raise InputError("frames are the same in all recordings; expected sound in every band")
    return Scale(mean, deviation)


def moved(bands: Tensor, lengths: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Moves each word by up to some frames, at random; its first or last frame fills the gap.

    Args:
        bands: [B, T, bands].
        lengths: Frames of each word [B].
        most: Largest move, in frames.
        generator: On the CPU.

    Example:
        >>> moved(torch.ones(2, 9, 3), torch.tensor([9, 5]), 2, torch.Generator()).shape
        torch.Size([2, 9, 3])
    """
    move = torch.randint(-most, most + 1, (len(bands), 1), generator=generator)
    frame = torch.arange(bands.shape[1]).expand(len(bands), -1)
    source = (frame - move).clamp(min=0).minimum(lengths[:, None].cpu() - 1)
    source = torch.where(frame < lengths[:, None].cpu(), source, frame).to(bands.device)
    return bands.gather(1, source[..., None].expand_as(bands))


def masked(
    bands: Tensor,
    frames: int,
    width: int,
    generator: torch.Generator,
    lengths: Tensor | None = None,
) -> Tensor:
    """Hides a stretch of time and a stretch of bands of each word, at random: they become 0.

    A light form of SpecAugment (Park et al., Interspeech 2019, arXiv 1904.08779).

    Args:
        bands: In standard units [B, T, bands].
        frames: Longest stretch of time.
        width: Widest stretch of bands.
        generator: On the CPU.
        lengths: Frames of each word [B], within which time is hidden; T if None.

    Example:
        >>> masked(torch.ones(2, 9, 3), 2, 1, torch.Generator()).shape
        torch.Size([2, 9, 3])
    """
    words, steps, channels = bands.shape
    sizes = torch.full((words,), steps) if lengths is None else lengths.cpu()
    hidden = _stretch(sizes, steps, frames, generator)[:, :, None]
    whole = torch.full((words,), channels)
    hidden = hidden | _stretch(whole, channels, width, generator)[:, None, :]
    return bands.masked_fill(hidden.to(bands.device), 0)


def _stretch(sizes: Tensor, total: int, longest: int, generator: torch.Generator) -> Tensor:
    """Of each row, a stretch of random length, 0 to the longest, within its size is True [N, T]."""
    shape, sizes = (len(sizes), 1), sizes[:, None]
    length = torch.randint(0, longest + 1, shape, generator=generator).minimum(sizes)
    first = (torch.rand(shape, generator=generator) * (sizes - length + 1)).long()
    place = torch.arange(total)
    return (place >= first) & (place < first + length)

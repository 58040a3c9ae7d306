"""Spoken words as frames of band energies in memory, and their augmentation in training."""

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
    """Number of frames of each word, int64 [N]."""
    onset: Tensor
    """Frame where each word begins, judged by its energy, int64 [N]."""
    labels: Tensor
    """Labels of the words, int64 [N]."""

    def rows(self, rows: Tensor) -> "Frames":
        """Returns some of the words."""
        return Frames(*(part[rows] for part in self))


class Scale(NamedTuple):
    """Scaling that gives the training set's bands mean 0 and variance 1."""

    mean: Tensor
    """Mean of each band [bands]."""
    deviation: Tensor
    """Standard deviation of each band [bands]."""

    def __call__(self, frames: Frames) -> Frames:
        """Standardizes words; the padding after their ends stays 0."""
        inside = torch.arange(frames.bands.shape[1]) < frames.lengths[:, None]
        bands = (frames.bands - self.mean) / self.deviation * inside[..., None]
        return frames._replace(bands=bands)


def read_frames(speech: SpeechSet, front: LogMel) -> Frames:
    """Reads a set's files at the front end's rate; silence pads those shorter than a frame."""
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
    """Computes mean and standard deviation of each band over the frames of some words.

    Raises InputError if a band is the same in all frames.
    """
    inside = torch.arange(frames.bands.shape[1]) < frames.lengths[:, None]
    deviation, mean = torch.std_mean(frames.bands[inside], dim=0, correction=0)
    if not bool((deviation > 0).all()):
        raise InputError("frames are the same in all recordings; expected sound in every band")
    return Scale(mean, deviation)


def moved(bands: Tensor, lengths: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Shifts each word by up to ``most`` frames; its first or last frame fills the gap.

    Bands are [B, T, bands], lengths in frames [B]. The generator is on the CPU.
    """
    move = torch.randint(-most, most + 1, (len(bands), 1), generator=generator)
    frame = torch.arange(bands.shape[1]).expand(len(bands), -1)
    source = (frame - move).clamp(min=0).minimum(lengths[:, None].cpu() - 1)
    source = torch.where(frame < lengths[:, None].cpu(), source, frame).to(bands.device)
    return bands.gather(1, source[..., None].expand_as(bands))


def stretched(bands: Tensor, lengths: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """Makes each word faster or slower, around its middle, by a share of up to ``most``.

    Frames between two others are interpolated; the first or last one fills gaps. Bands are
    [B, T, bands], lengths in frames [B]. The generator is on the CPU.
    """
    rate = 1 + most * (2 * torch.rand(len(bands), 1, generator=generator) - 1)
    frame, ends = torch.arange(bands.shape[1]), lengths[:, None].cpu() - 1
    place = ((frame - ends / 2) * rate + ends / 2).clamp(min=0).minimum(ends)
    place = torch.where(frame <= ends, place, frame)
    before = place.floor().long()
    after = torch.where(frame <= ends, (before + 1).minimum(ends), frame)
    share = (place - before)[..., None].to(bands)
    first, second = (
        bands.gather(1, which.to(bands.device)[..., None].expand_as(bands))
        for which in (before, after)
    )
    return first + share * (second - first)


def louder(bands: Tensor, lengths: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Adds the same normal number to all bands and frames of a word, as another loudness does.

    Bands are [B, T, bands], 0 after ``lengths`` [B], in frames. The generator is on the CPU.
    """
    change = deviation * torch.randn(len(bands), 1, 1, generator=generator)
    inside = torch.arange(bands.shape[1]) < lengths[:, None].cpu()
    return bands + (change * inside[..., None]).to(bands)


def masked(
    bands: Tensor,
    frames: int,
    width: int,
    generator: torch.Generator,
    lengths: Tensor | None = None,
) -> Tensor:
    """Sets a random stretch of time and a random stretch of bands of each word to 0.

    A light form of SpecAugment (Park et al., Interspeech 2019, arXiv 1904.08779). Bands are
    standardized, [B, T, bands]; ``frames`` and ``width`` are the longest stretches of time and of
    bands. Time is hidden within ``lengths`` [B], in frames; within all T if None.
    """
    words, steps, channels = bands.shape
    sizes = torch.full((words,), steps) if lengths is None else lengths.cpu()
    hidden = _stretch(sizes, steps, frames, generator)[:, :, None]
    whole = torch.full((words,), channels)
    hidden = hidden | _stretch(whole, channels, width, generator)[:, None, :]
    return bands.masked_fill(hidden.to(bands.device), 0)


def _stretch(sizes: Tensor, total: int, longest: int, generator: torch.Generator) -> Tensor:
    """Draws a stretch of 0 to ``longest`` within each row's size; it is True in the mask [N, T]."""
    shape, sizes = (len(sizes), 1), sizes[:, None]
    length = torch.randint(0, longest + 1, shape, generator=generator).minimum(sizes)
    first = (torch.rand(shape, generator=generator) * (sizes - length + 1)).long()
    place = torch.arange(total)
    return (place >= first) & (place < first + length)

"""Spoken words in memory: files of unequal length, standard units, moves and masks."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import wavfile

from plastorch.data.audio.frames import Frames, masked, moved, read_frames, scale_of
from plastorch.data.audio.logmel import LogMel
from plastorch.data.audio.recordings import SpeechSet
from plastorch.data.audio.wav import read_wav, resampled
from plastorch.engine.errors import InputError

FRONT = LogMel(8000, bands=5)


@pytest.fixture
def speech(tmp_path: Path) -> SpeechSet:
    """Three recordings, one of another rate, one shorter than a frame."""
    random = torch.Generator().manual_seed(0)
    for name, length, rate in (("a", 1000, 8000), ("b", 4000, 16000), ("c", 50, 8000)):
        samples = 0.1 * torch.randn(length, generator=random)
        wavfile.write(tmp_path / f"{name}.wav", rate, samples.numpy())
    files = tuple(tmp_path / f"{name}.wav" for name in "abc")
    parts = ("train", "validation", "test")
    return SpeechSet("toy", files, torch.arange(3), tuple("abc"), tuple("xyz"), parts, "made up")


def test_recordings_become_frames_at_one_rate(speech: SpeechSet) -> None:
    frames = read_frames(speech, FRONT)
    assert frames.lengths.tolist() == [11, 23, 1] and frames.bands.shape == (3, 23, 5)
    samples = resampled(read_wav(speech.files[1]), 8000).samples
    assert torch.equal(frames.bands[1], FRONT(samples))
    assert not frames.bands[0, 11:].any() and frames.onset.tolist() == [0, 0, 0]
    assert frames.rows(torch.tensor([2, 0])).labels.tolist() == [2, 0]


def test_training_words_have_standard_units(speech: SpeechSet) -> None:
    frames = read_frames(speech, FRONT)
    scaled = scale_of(frames)(frames)
    inside = torch.cat([scaled.bands[i, :n] for i, n in enumerate(frames.lengths)])
    assert torch.allclose(inside.mean(0), torch.zeros(5), atol=1e-5)
    assert torch.allclose(inside.std(0, correction=0), torch.ones(5), atol=1e-5)
    assert not scaled.bands[2, 1:].any()


@settings(max_examples=20)
@given(st.integers(1, 9), st.integers(0, 12), st.integers(0, 99))
def test_a_move_keeps_the_order_of_frames(length: int, most: int, seed: int) -> None:
    bands = torch.arange(1.0, 10.0).expand(50, -1)[..., None].clone()
    bands[:, length:] = 0
    lengths = torch.full((50,), length)
    found = moved(bands, lengths, most, torch.Generator().manual_seed(seed))[..., 0]
    moves = set()
    for row in found:
        inside = row[:length].tolist()
        move = next(
            m
            for m in range(-most, most + 1)
            if inside == [min(max(t - m, 0), length - 1) + 1 for t in range(length)]
        )
        moves.add(move)
        assert not row[length:].any()
    assert len(moves) > 1 or most == 0 or length == 1


def test_masks_hide_one_stretch_of_each() -> None:
    found = masked(torch.ones(500, 30, 12), 8, 3, torch.Generator().manual_seed(0)) == 0
    times, bands = found.all(dim=2), found.all(dim=1)
    assert torch.equal(found, times[:, :, None] | bands[:, None, :])
    for hidden, longest in ((times, 8), (bands, 3)):
        lengths = hidden.sum(dim=1)
        assert set(lengths.tolist()) == set(range(longest + 1))
        edges = hidden.int().diff(dim=1).abs().sum(dim=1)
        assert int(edges.max()) <= 2  # one stretch
        assert bool(hidden[:, 0].any() and hidden[:, -1].any())


def test_a_band_that_is_always_the_same() -> None:
    silent = Frames(torch.zeros(2, 3, 5), torch.tensor([3, 3]), *torch.zeros(2, 2).long())
    with pytest.raises(InputError, match="the same in all recordings"):
        scale_of(silent)

"""Band energies against a naive computation in numpy and scipy, whole and as they come."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import get_window

from plastorch.data.audio.logmel import FLOOR, FrameStream, LogMel, speech_onset
from plastorch.engine.errors import InputError


def naive(samples: np.ndarray, rate: int, bands: int, lowest: float) -> np.ndarray:
    """Frame by frame, band by band, a discrete Fourier transform by its sum."""
    window, hop = round(0.025 * rate), round(0.010 * rate)
    points = 2 ** math.ceil(math.log2(window))
    taper = get_window("hann", window)
    top = 2595 * math.log10(1 + rate / 2 / 700)
    bottom = 2595 * math.log10(1 + lowest / 700)
    corners = [
        700 * (10 ** ((bottom + (top - bottom) * i / (bands + 1)) / 2595) - 1)
        for i in range(bands + 2)
    ]
    wave = np.exp(-2j * np.pi * np.outer(np.arange(points // 2 + 1), np.arange(window)) / points)
    rows = []
    for start in range(0, len(samples) - window + 1, hop):
        power = abs(wave @ (samples[start : start + window] * taper)) ** 2
        row = []
        for left, middle, right in zip(corners, corners[1:], corners[2:], strict=False):
            weights = np.interp(
                np.arange(points // 2 + 1) * rate / points, [left, middle, right], [0, 1, 0]
            )
            row.append(math.log(max(FLOOR, float(weights @ power))))
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize(("rate", "bands", "lowest"), [(8000, 40, 20.0), (16000, 23, 60.0)])
def test_frames_equal_the_naive_ones(rate: int, bands: int, lowest: float) -> None:
    samples = np.random.default_rng(0).normal(scale=0.1, size=rate // 8)
    found = LogMel(rate, bands, lowest_hz=lowest)(torch.from_numpy(samples).float())
    expected = naive(samples, rate, bands, lowest)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-4)


def test_a_tone_is_in_its_band() -> None:
    front = LogMel(16000)
    for hertz in (200, 1000, 5000):
        tone = torch.sin(2 * torch.pi * hertz * torch.arange(8000) / 16000)
        mel = [2595 * math.log10(1 + f / 700) for f in (20, 8000, hertz)]
        band = (mel[2] - mel[0]) / (mel[1] - mel[0]) * 41 - 1
        assert abs(float(front(tone).mean(0).argmax()) - band) < 1


def test_batches_and_silence() -> None:
    front = LogMel(8000)
    samples = torch.randn(3, 2000)
    assert torch.allclose(front(samples)[1], front(samples[1]), atol=1e-5)
    assert torch.equal(front(torch.zeros(400)), torch.full((3, 40), math.log(FLOOR)))


@settings(max_examples=30)
@given(st.lists(st.integers(0, 700), min_size=1, max_size=12), st.integers(0, 99))
def test_frames_come_as_soon_as_their_samples(sizes: list[int], seed: int) -> None:
    front = LogMel(8000)
    samples = torch.randn(sum(sizes), generator=torch.Generator().manual_seed(seed))
    stream, come, fed = FrameStream(front), [], 0
    for part in samples.split(sizes):
        come.append(stream.feed(part))
        fed += len(part)
        count = sum(len(frames) for frames in come)
        assert front.end_s(count - 1) * 8000 <= fed < front.end_s(count) * 8000 or not count
    together = torch.cat(come)
    if len(samples) < front.window:
        assert len(together) == 0
    else:
        assert torch.allclose(together, front(samples), atol=1e-5)


def test_samples_between_frames_are_skipped() -> None:
    front = LogMel(8000, bands=10, window_s=0.02, hop_s=0.03)
    samples = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    for size in (20, 100, 700):
        stream = FrameStream(front)
        together = torch.cat([stream.feed(part) for part in samples.split(size)])
        assert torch.allclose(together, front(samples), atol=1e-5)


def test_onset_is_where_the_energy_comes_near_the_loudest() -> None:
    noise = torch.randn(8000, generator=torch.Generator().manual_seed(0))
    loudness = torch.cat([torch.full((4000,), 1e-3), torch.ones(4000)])
    onset = speech_onset(LogMel(8000)(noise * loudness))
    # The frame whose end first reaches far enough beyond sample 4000.
    assert 4000 <= onset * 80 + 200 < 4000 + 160
    assert speech_onset(LogMel(8000)(noise * loudness), decibels=80) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rate": 0}, "rate is 0"),
        ({"rate": 8000, "bands": 0}, "bands is 0"),
        ({"rate": 8000, "bands": 200}, "bands is 200; expected fewer"),
        ({"rate": 8000, "lowest_hz": 4000.0}, "lowest_hz is 4000.0; expected 0 to 4000"),
        ({"rate": 8000, "window_s": 1e-5}, "window_s is 1e-05"),
    ],
)
def test_bad_arguments(arguments: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        LogMel(**arguments)


def test_too_few_samples() -> None:
    with pytest.raises(InputError, match="samples: 199 found; expected 200 or more"):
        LogMel(8000)(torch.zeros(199))

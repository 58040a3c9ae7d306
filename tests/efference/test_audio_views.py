"""Views of sounds against interpolation band by band, and the statistics of their noise."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

from plastorch.data.audio.logmel import FLOOR, LogMel
from plastorch.efference.actions import AudioActions
from plastorch.efference.audio_views import AUDIO, AudioViews, moved, noise, unmasked
from plastorch.engine.errors import InputError

BANDS, FRAMES = 16, 40


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clips(count: int, seed: int = 0) -> Tensor:
    """Smooth along time, all energies above the floor."""
    return 2 * torch.randn(count, BANDS, FRAMES, generator=random(seed)).cumsum(2) / 5 - 4


def nothing(count: int) -> AudioActions:
    """Actions that leave a clip as it is; noise is far below it."""
    zero, one = torch.zeros(count), torch.ones(count)
    seed = torch.zeros(count, dtype=torch.int64)
    return AudioActions(zero, one, zero, zero, 200 * one, seed, zero, zero, zero, zero)


def standardized(clip: Tensor, log_energy: Tensor) -> Tensor:
    return (log_energy - clip.mean()) / clip.std(correction=0)


def test_a_clip_left_as_it_is_is_standardized() -> None:
    sounds = clips(5)
    view = AUDIO.apply(sounds, nothing(5))
    assert view.shape == (5, 1, BANDS, FRAMES) and view.dtype == torch.float32
    torch.testing.assert_close(view.mean(dim=(1, 2, 3)), torch.zeros(5), rtol=0, atol=1e-4)
    torch.testing.assert_close(view.std(dim=(1, 2, 3), correction=0), torch.ones(5))
    torch.testing.assert_close(view[2, 0], standardized(sounds[2], sounds[2]))


def test_crop_shift_and_gain_band_by_band() -> None:
    sounds, actions = clips(30), AUDIO.sample(30, random(1))
    quiet, zero = torch.full((30,), 200.0), torch.zeros(30)
    actions = actions._replace(snr=quiet, time_mask_length=zero, band_mask_length=zero)
    view = AUDIO.apply(sounds, actions)[:, 0]
    share = (np.arange(FRAMES) + 0.5) / FRAMES
    for i, clip in enumerate(sounds):
        at = (float(actions.start[i]) + float(actions.length[i]) * share) * FRAMES - 0.5
        gain = float(actions.gain[i]) * math.log(10) / 10
        for band in range(BANDS):
            source = band - int(actions.shift[i])
            found = view[i, band]
            if 0 <= source < BANDS:
                values = np.interp(at, np.arange(FRAMES), clip[source].double().numpy()) + gain
                expected = standardized(clip, torch.tensor(values).float())
                torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
            else:
                expected = standardized(clip, torch.tensor(math.log(FLOOR)))
                torch.testing.assert_close(found, expected.expand(FRAMES), rtol=0, atol=1e-4)


def test_noise_is_as_loud_as_said() -> None:
    sounds = clips(40)
    actions = nothing(40)._replace(
        snr=torch.linspace(-5, 30, 40), gain=torch.linspace(-6, 6, 40), noise_seed=torch.arange(40)
    )
    view = AUDIO.apply(sounds, actions)[:, 0]
    deviation = sounds.std(dim=(1, 2), correction=0)[:, None, None]
    energy = (view * deviation + sounds.mean(dim=(1, 2), keepdim=True)).double().exp()
    signal = moved(sounds, actions).double() * 10 ** (actions.gain / 10)[:, None, None]
    found = 10 * torch.log10(signal.mean(dim=(1, 2)) / (energy - signal).mean(dim=(1, 2)))
    # the mean of 640 exponential numbers is known to 4 %, so to 0.7 dB in 4 deviations
    torch.testing.assert_close(found, actions.snr.double(), rtol=0, atol=0.8)


def test_noise_is_exponential_and_independent_of_place_and_seed() -> None:
    values = noise(torch.arange(200), torch.Size((10, 50)))
    assert kstest(values.flatten().numpy(), "expon").pvalue > 0.001
    assert kstest(values[:, 3, 7].numpy(), "expon").pvalue > 0.001
    centered = values.flatten(1) - 1
    for one, other in ((centered[1:], centered[:-1]), (centered[:, 1:], centered[:, :-1])):
        assert abs(float((one * other).mean())) < 4 / math.sqrt(one.numel())
    seeds = torch.tensor([0, 1, 2**30, 2**31 - 1])
    assert len(noise(seeds, torch.Size((1, 3))).unique()) == 12


def test_noise_is_a_hash_of_32_bits() -> None:
    def mixed(x: int) -> int:
        for down, multiplier in ((16, 0x7FEB352D), (15, 0x68BC21EB)):
            x = (x ^ x >> down) * multiplier % 2**32
        return x ^ x >> 16

    seeds = [0, 1, 12345, 2**31 - 1]
    found = noise(torch.tensor(seeds), torch.Size((4, 5)))
    for seed, view in zip(seeds, found, strict=True):
        uniform = [((mixed(mixed(seed) ^ k) % 2**31) + 0.5) / 2**31 for k in range(20)]
        assert view.flatten().tolist() == pytest.approx([-math.log(u) for u in uniform], rel=1e-5)


def test_masks_are_0_and_all_else_is_left() -> None:
    sounds, actions = clips(30), AUDIO.sample(30, random(2))
    zero = torch.zeros(30)
    open_view = AUDIO.apply(sounds, actions._replace(time_mask_length=zero, band_mask_length=zero))
    view = AUDIO.apply(sounds, actions)
    for i in range(30):
        keep = torch.ones(BANDS, FRAMES)
        for axis, size, start, length in (
            (0, BANDS, actions.band_mask_start[i], actions.band_mask_length[i]),
            (1, FRAMES, actions.time_mask_start[i], actions.time_mask_length[i]),
        ):
            for k in range(size):
                if start <= (k + 0.5) / size < start + length:
                    keep.select(axis, k).zero_()
        torch.testing.assert_close(view[i, 0], open_view[i, 0] * keep)
    share = 1 - unmasked(actions.time_mask_start, actions.time_mask_length, 1000).mean(dim=1)
    torch.testing.assert_close(share, actions.time_mask_length, rtol=0, atol=2e-3)


def test_actions_reproduce_the_view_in_any_order() -> None:
    sounds, actions = clips(12), AUDIO.sample(12, random(3))
    view, close = AUDIO.apply(sounds, actions), {"rtol": 0, "atol": 1e-5}
    torch.testing.assert_close(AUDIO.apply(sounds, actions), view, **close)
    order = torch.randperm(12, generator=random(4))
    torch.testing.assert_close(
        AUDIO.apply(sounds[order], actions.take(order)), view[order], **close
    )
    alone = AUDIO.apply(sounds[5:6], actions.take(slice(5, 6)))
    torch.testing.assert_close(alone, view[5:6], **close)
    assert torch.equal(sounds, clips(12))


def test_gain_stays_visible() -> None:
    sounds, louder = clips(4), nothing(4)._replace(gain=torch.full((4,), 6.0))
    difference = AUDIO.apply(sounds, louder) - AUDIO.apply(sounds, nothing(4))
    expected = 0.6 * math.log(10) / sounds.std(dim=(1, 2), correction=0)
    torch.testing.assert_close(difference.mean(dim=(1, 2, 3)), expected, rtol=1e-3, atol=0)


def test_silence_stays_finite() -> None:
    silent = LogMel(8000)(torch.zeros(2, 8000)).mT
    view = AUDIO.apply(silent, AUDIO.sample(2, random(5)))
    assert bool(view.isfinite().all()) and float(view.abs().max()) < 30


def test_law_of_the_parameters() -> None:
    count = 3000
    actions = AUDIO.sample(count, random(6))
    for values, low, high in (
        (actions.length, 0.5, 1.0),
        (actions.start / (1 - actions.length), 0, 1),
        (actions.gain, -6, 6),
        (actions.snr, 5, 30),
        (actions.time_mask_length, 0, 0.2),
        (actions.band_mask_length, 0, 0.2),
        (actions.time_mask_start / (1 - actions.time_mask_length), 0, 1),
        (actions.band_mask_start / (1 - actions.band_mask_length), 0, 1),
    ):
        assert kstest(values.numpy(), "uniform", (low, high - low)).pvalue > 0.001
    counts = torch.bincount(actions.shift.long() + 4, minlength=9)
    assert len(counts) == 9 and float((counts - count / 9).abs().max()) < 4 * math.sqrt(count / 9)
    assert len(actions.noise_seed.unique()) > count - 5
    again = AUDIO.sample(count, random(6))
    assert all(torch.equal(x, y) for x, y in zip(actions, again, strict=True))
    fixed = AudioViews((1.0, 1.0), 0, 0.0, (10.0, 10.0), 0.0, 0.0).sample(5, random())
    assert not torch.stack([fixed.start, fixed.shift, fixed.gain, fixed.time_mask_length]).any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"length": (0.0, 1.0)}, r"length is \(0\.0, 1\.0\); expected 0 < low"),
        ({"length": (0.5, 1.5)}, "length is"),
        ({"shift": -1}, "shift is -1"),
        ({"gain": -1.0}, r"gain -1\.0; expected 0 or more"),
        ({"snr": (30.0, 5.0)}, r"snr is \(30\.0, 5\.0\); expected low <= high"),
        ({"time_mask": 1.0}, r"time_mask is 1\.0; expected at least 0, below 1"),
        ({"band_mask": -0.1}, r"band_mask is -0\.1"),
    ],
)
def test_bad_settings(change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(AUDIO, **change)


def test_bad_clips_and_actions() -> None:
    actions = AUDIO.sample(2, random())
    with pytest.raises(InputError, match=r"clips have shape \(2, 1, 4, 4\)"):
        AUDIO.apply(torch.zeros(2, 1, 4, 4), actions)
    with pytest.raises(InputError, match=r"type torch\.uint8"):
        AUDIO.apply(torch.zeros(2, 4, 4, dtype=torch.uint8), actions)
    with pytest.raises(InputError, match="actions are of 2 views; expected 3"):
        AUDIO.apply(torch.zeros(3, 4, 4), actions)
    sounds = torch.zeros(2, 4, 4)
    with pytest.raises(InputError, match=r"gain has shape \(1,\); expected \(2,\)"):
        AUDIO.apply(sounds, actions._replace(gain=torch.zeros(1)))
    with pytest.raises(InputError, match="length of a crop is 0"):
        AUDIO.apply(sounds, actions._replace(length=torch.zeros(2)))
    with pytest.raises(InputError, match=r"crop is from 0\.9 to 1\.4; expected 0 to 1"):
        late = actions._replace(start=torch.full((2,), 0.9), length=torch.full((2,), 0.5))
        AUDIO.apply(sounds, late)
    with pytest.raises(InputError, match="expected AudioActions"):
        AUDIO.apply(sounds, None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="count is 0"):
        AUDIO.sample(0, random())

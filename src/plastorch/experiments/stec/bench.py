"""Speed of batched views against torchvision's, kornia's and loops; cost of the inverse model."""

import importlib.util
import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.bench.timing import Row, interleaved, row
from plastorch.data.audio.logmel import FLOOR
from plastorch.efference import (
    AUDIO,
    CIFAR,
    IMAGENET,
    STL10,
    AudioViews,
    Bins,
    ImageActions,
    ImageViews,
    Learner,
    Pretraining,
    SimCLR,
    Sources,
    Training,
    Weights,
    estimate_bins,
    small_resnet,
)
from plastorch.engine.streams import seeded, stream

COST = "2 min, 3 GB"
"""Rough time and peak memory of all rows, on one core."""
ROUNDS = 8
"""Number of timed calls per side."""
GRID = (
    (CIFAR, 64, ROUNDS),
    (CIFAR, 1024, ROUNDS),
    (STL10, 1024, 2),
    (IMAGENET, 64, 4),
    (IMAGENET, 256, 1),
)
"""Views, batch sizes and numbers of timed calls beside torchvision and kornia."""


def rows() -> tuple[dict[str, object], Iterator[Row]]:
    """Returns a description of the samples, and the rows of the group as they are measured."""
    data: dict[str, object] = {"name": "random images and log-mel energies, as large as the views"}
    return data, _measured()


def _measured() -> Iterator[Row]:
    yield image_views("views-images", CIFAR, 256)
    yield image_views("views-stl10", STL10, 64)
    for views, batch, rounds in GRID:
        yield image_views(f"views-{views.size}x{batch}", views, batch, rounds)
        if importlib.util.find_spec("kornia"):
            yield beside_kornia(f"kornia-{views.size}x{batch}", views, batch, rounds)
    yield sound_views("views-audio", AUDIO, (256, 64, 101))
    yield head_overhead()


def image_views(name: str, views: ImageViews, batch: int, rounds: int = ROUNDS) -> Row:
    """Measures drawing actions and making one view of each image of a batch."""
    images, random = random_images(batch, views.size), stream(2)
    one = torchvision_views(views)
    words = f"torchvision.transforms.v2, one by one; batch {batch}, {views.size} pixels"
    seconds = interleaved(
        lambda: views(images, random),
        lambda: torch.stack([one(image) for image in images]),
        rounds,
    )
    return row(name, seconds[0], words, seconds[1], equal=colors_agree(images[:32], views))


def beside_kornia(name: str, views: ImageViews, batch: int, rounds: int = ROUNDS) -> Row:
    """Measures views beside kornia's of the same distribution, for a whole batch."""
    images, random = random_images(batch, views.size), stream(2)
    theirs = kornia_views(views)
    words = f"kornia.augmentation; batch {batch}, {views.size} pixels"
    seconds = interleaved(
        lambda: views(images, random), lambda: theirs(images.float().div(255)), rounds
    )
    return row(name, seconds[0], words, seconds[1])


def sound_views(
    name: str, views: AudioViews, shape: tuple[int, int, int], rounds: int = ROUNDS
) -> Row:
    """Measures drawing actions and making one view of each clip of a batch [B, bands, frames]."""
    random = stream(2)
    clips = 2 * torch.randn(shape, generator=random) - 4
    actions = views.sample(len(clips), random)
    single = [
        views.apply(clip[None], actions.take(slice(i, i + 1))) for i, clip in enumerate(clips)
    ]
    equal = torch.allclose(views.apply(clips, actions), torch.cat(single), atol=1e-5)
    batch, bands, frames = shape
    words = f"a loop in plain torch; batch {batch}, {bands} bands, {frames} frames"
    seconds = interleaved(
        lambda: views(clips, random), lambda: clip_by_clip(clips, views, random), rounds
    )
    return row(name, seconds[0], words, seconds[1], equal=equal)


def head_overhead(
    batch: int = 256, width: int = 32, rounds: int = 12, bfloat16: bool = True
) -> Row:
    """Measures a step of SimCLR on 32 x 32 images with and without the inverse model.

    The row's own side is the step with it, in both directions, on ``batch`` images in two views
    each; ``overhead`` is the share by which it takes longer.
    """
    bins = estimate_bins(CIFAR, "egocentric", stream(0))
    whole, bare = (
        _step(bins, weight, batch, width=width, bfloat16=bfloat16) for weight in (1.0, 0.0)
    )
    seconds = interleaved(whole, bare, rounds)
    words = f"the same step without the inverse model; {batch} images, two views each"
    overhead = round(seconds[0] / seconds[1] - 1, 4)
    return row("head", seconds[0], words, seconds[1], overhead=overhead, bfloat16=bfloat16)


def _step(
    bins: Bins, weight: float, batch: int, *, width: int, bfloat16: bool
) -> Callable[[], object]:
    """Returns an update of a method whose inverse model has this weight."""
    with seeded(0):
        encoder = small_resnet(width)
        method = SimCLR(encoder, encoder.features, bins.sizes, Weights(2.0, weight))
        learner = Learner(method, encoder.features, classes=10)
    images = torch.randint(0, 256, (batch, 3, 32, 32), dtype=torch.uint8, generator=stream(1))
    sources = Sources(images, torch.arange(batch) % 10)
    training = Training(10**6, batch, every=1, learning_rate=0.01, bfloat16=bfloat16)
    return Pretraining("head", learner, sources, CIFAR, training, copies=bins).step


def random_images(count: int, size: int) -> Tensor:
    """Generates smooth images with some noise, uint8 [B, 3, size, size]."""
    random = stream(0)
    coarse = torch.rand(count, 3, 4, 4, generator=random)
    fine = torch.rand(count, 3, size, size, generator=random)
    images = 0.8 * F.interpolate(coarse, (size, size), mode="bilinear") + 0.2 * fine
    return (255 * images).round().to(torch.uint8)


def torchvision_views(views: ImageViews) -> Callable[[Tensor], Tensor]:
    """Returns torchvision's equivalent for one image, on float values: faster there than bytes."""
    from torchvision.transforms import v2

    s, low, high = views.jitter, 0.1 * views.size / 224, 2 * views.size / 224
    jitter = v2.ColorJitter(0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s)
    steps = [
        v2.ToDtype(torch.float32, scale=True),
        v2.RandomResizedCrop(views.size, views.scale, views.ratio, antialias=True),
        v2.RandomHorizontalFlip(views.flip),
        v2.RandomApply([jitter], views.jitter_probability),
        v2.RandomGrayscale(views.gray),
    ]
    if views.blur:
        blur = v2.GaussianBlur(int(0.1 * views.size) // 2 * 2 + 1, (low, high))
        steps.append(v2.RandomApply([blur], views.blur))
    if views.solarize:
        steps.append(v2.RandomSolarize(0.5, views.solarize))
    return v2.Compose(steps)  # type: ignore[no-any-return]


def kornia_views(views: ImageViews) -> Callable[[Tensor], Tensor]:
    """Returns kornia's equivalent for float images [B, 3, H, W]."""
    from kornia import augmentation as K  # type: ignore[import-not-found]

    s, side = views.jitter, (views.size, views.size)
    steps = [
        K.RandomResizedCrop(side, scale=views.scale, ratio=views.ratio),
        K.RandomHorizontalFlip(p=views.flip),
        K.ColorJitter(0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s, p=views.jitter_probability),
        K.RandomGrayscale(p=views.gray),
    ]
    if views.blur:
        taps = int(0.1 * views.size) // 2 * 2 + 1
        sigma = (0.1 * views.size / 224, 2 * views.size / 224)
        steps.append(K.RandomGaussianBlur((taps, taps), sigma, p=views.blur))
    if views.solarize:
        steps.append(K.RandomSolarize(0.0, 0.0, p=views.solarize))
    return torch.nn.Sequential(*steps)


def colors_agree(images: Tensor, views: ImageViews) -> bool:
    """Whether all but the crop gives torchvision's pixels, image by image, to 1e-4."""
    actions = views.sample(len(images), stream(1))
    whole, none = torch.ones(len(images)), torch.zeros(len(images))
    actions = actions._replace(top=none, left=none, height=whole, width=whole)
    theirs = [_by_torchvision(image, actions, i) for i, image in enumerate(images)]
    return torch.allclose(views.apply(images, actions), torch.stack(theirs), atol=1e-4)


def clip_by_clip(clips: Tensor, views: AudioViews, random: torch.Generator) -> Tensor:
    """Returns views of sounds from the same distribution by a plain loop [B, 1, bands, frames]."""
    return torch.stack([_one_sound(clip, views, random) for clip in clips])


def _by_torchvision(image: Tensor, actions: ImageActions, i: int) -> Tensor:
    """Returns one whole image, changed by action number i."""
    from torchvision.transforms.v2 import functional as one

    changed = one.to_dtype(image, torch.float32, scale=True)
    changed = one.horizontal_flip(changed) if actions.flip[i] else changed
    changed = one.adjust_brightness(changed, float(actions.brightness[i]))
    changed = one.adjust_contrast(changed, float(actions.contrast[i]))
    changed = one.adjust_saturation(changed, float(actions.saturation[i]))
    changed = one.adjust_hue(changed, float(actions.hue[i]))
    changed = one.rgb_to_grayscale(changed, 3) if actions.gray[i] else changed
    if actions.blur[i] > 0:
        taps = int(0.1 * image.shape[-1]) // 2 * 2 + 1
        changed = one.gaussian_blur(changed, [taps, taps], [float(actions.blur[i])])
    inverted: Tensor = one.solarize(changed, 0.5) if actions.solarized[i] else changed
    return inverted


def _one_sound(clip: Tensor, views: AudioViews, random: torch.Generator) -> Tensor:
    """Returns a view of one clip [1, bands, frames]; crops begin and end between frames."""
    frames = clip.shape[1]
    draws = torch.rand(8, generator=random).tolist()
    length = views.length[0] + (views.length[1] - views.length[0]) * draws[0]
    count = max(1, round(length * frames))
    first = int(draws[1] * (frames - count + 1))
    deviation, mean = torch.std_mean(clip)
    crop = clip[None, :, first : first + count]
    energy = F.interpolate(crop, frames, mode="linear")[0].exp()
    shift = int(torch.randint(-views.shift, views.shift + 1, (1,), generator=random))
    energy = energy.roll(shift, dims=0)
    energy[slice(0, shift) if shift >= 0 else slice(shift, None)] = 0
    energy *= 10 ** (views.gain * (2 * draws[2] - 1) / 10)
    snr = views.snr[0] + (views.snr[1] - views.snr[0]) * draws[3]
    noise = torch.empty_like(energy).exponential_(generator=random)
    energy += energy.mean() * 10 ** (-snr / 10) * noise
    view = (energy.clamp(min=FLOOR).log() - mean) / deviation
    for axis, share, place in ((1, views.time_mask, draws[4:6]), (0, views.band_mask, draws[6:])):
        size = clip.shape[axis]
        extent = share * place[0] * size
        start = place[1] * (size - extent)
        view.narrow(axis, math.ceil(start), int(start + extent) - math.ceil(start) + 1).zero_()
    return view[None]

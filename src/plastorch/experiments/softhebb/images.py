"""Images of a deep SoftHebb run: as they are, augmented, in several views, or few of them."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from plastorch.data import ImageSet, crop_and_flip, jittered, load_images, resized_crop_and_flip
from plastorch.engine.streams import stream
from plastorch.experiments.context import Context
from plastorch.experiments.softhebb.config import AUGMENTED, SoftHebbConfig
from plastorch.hebbian.networks import SoftHebbNet
from plastorch.hebbian.streams import Stream
from plastorch.hebbian.train import Augment

VIEWS = 9
"""Number of views of each training digit for the readout, whose features are kept."""
EPOCHS_PER_VIEW = 4
"""Number of readout epochs until views are renewed, if they are."""
SHIFT = 4
"""Maximum shift of renewed photos along each axis, pixels."""
BEND = 2.0
"""Maximum further shift between points seven pixels apart in renewed digits, pixels."""
PAPERS_SHARE = {"imagenet": 0.1}
"""Share of the training images that the paper's blocks learn from, where that is not all."""
QUICK_MACS = 0.9e12
"""Multiply-accumulates of a forward pass over all images of a smoke run."""


def load(config: SoftHebbConfig, context: Context) -> ImageSet:
    """Returns the images; oblong ones, only possible in a user's data, squashed to a square."""
    images = load_images(config.preset_data, context.data)
    height, width = images.train_images.shape[2:]
    if height == width:
        return images
    return load_images(config.preset_data, context.data, image_size=min(height, width))


def augmentation(config: SoftHebbConfig, images: ImageSet, side: int) -> Augment | None:
    """Returns the paper's augmentation of labeled images, if it has one."""
    if config.preset_data not in AUGMENTED:
        return None
    if config.preset_data == "stl10":
        return lambda batch, rows, random: crop_and_flip(batch, 4, random)
    return lambda batch, rows, random: resized_crop_and_flip(
        batch, side, None if images.aspect is None else images.aspect[rows], generator=random
    )


def views_of(config: SoftHebbConfig, images: Tensor, seed: int) -> Tensor:
    """Returns images as they are, then other views whose features are also kept; N of each view.

    Digits are rotated, scaled and shifted a little; other images are mirrored, if configured.
    """
    if config.renewed_views:
        return torch.cat([images, changed(config, images, seed, 1)])
    if config.preset_data != "mnist":
        return torch.cat([images, images.flip(3)]) if config.mirrored else images
    return torch.cat([images, *(changed(config, images, seed, view) for view in range(1, VIEWS))])


def changed(config: SoftHebbConfig, images: Tensor, seed: int, view: int) -> Tensor:
    """Changes images a little for one of their views: digits are also bent, if views are renewed.

    Photos are shifted, and half of them mirrored.
    """
    random = stream(seed, Stream.VIEW, view)
    if config.preset_data != "mnist":
        return crop_and_flip(images, SHIFT, random).to(images.dtype)
    return jittered(images, bend=BEND if config.renewed_views else 0.0, generator=random)


def jitter(batch: Tensor, rows: Tensor, random: torch.Generator) -> Tensor:
    """Rotates, scales and shifts digits a little, anew each time."""
    return jittered(batch.float(), generator=random)


def unlabeled_of(
    config: SoftHebbConfig, context: Context, images: ImageSet, augment: Augment | None
) -> tuple[Tensor, Augment | None]:
    """Returns the images that the blocks learn from, and their augmentation."""
    pool = images.train_images if images.unlabeled_images is None else images.unlabeled_images
    share = config.unsupervised_share or PAPERS_SHARE.get(config.preset_data, 1.0)
    rows = torch.arange(len(pool))
    if share < 1:
        random = stream(context.seed, Stream.UNLABELED_IMAGES)
        rows = torch.randperm(len(pool), generator=random)[: max(1, int(len(pool) * share))]
        pool = pool[rows]
    if augment is None or config.preset_data != "imagenet":
        return pool, None
    return pool, lambda batch, of, random: augment(batch, rows[of], random)


def some(
    config: SoftHebbConfig, images: ImageSet, nets: Sequence[SoftHebbNet], seed: int
) -> tuple[SoftHebbConfig, ImageSet]:
    """Reduces settings and data to few images and epochs: a minute on two cores for any network."""
    count = int(min(2000, max(10, QUICK_MACS / sum(net.macs for net in nets) / 2)))
    epochs = 2 if augmentation(config, images, nets[0].image_size) else 10
    return replace(config, readout_epochs=min(epochs, config.readout_epochs)), images.few(
        count, count // 2, seed
    )

"""Views of images, made in whole batches on any device from known parameters."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.efference.actions import (
    ImageActions,
    Views,
    any_on_cpu,
    check_image_actions,
    check_lengths,
    theta,
)
from plastorch.efference.colors import blurred, grayed, jittered, solarized
from plastorch.engine.errors import InputError, check_finite, check_positive
from plastorch.engine.threads import in_threads

_ATTEMPTS = 10  # as in torchvision's RandomResizedCrop, which then takes the center
_PIXELS = 2**14
"""Number of pixels that occupy a thread for long enough."""
_ROUNDING = 1e-5
_BOOLS = ("flip", "gray", "solarized")


@dataclass(frozen=True)
class ImageViews(Views):
    """Random views by, in order: crop, flip, color jitter, grayscale, blur, solarization.

    Color jitter follows torchvision's ``ColorJitter``, but always applies brightness, contrast,
    saturation and hue in this order, without rounding to whole gray levels in between.

    Args:
        size: side of the square views in pixels.
        scale: bounds of the crop's share of the image area; uniform between them.
        ratio: bounds of the crop's width / height; log-uniform between them.
        flip: probability of a flip.
        jitter: strength s; factors of brightness, contrast and saturation range from 1 - 0.8 s to
            1 + 0.8 s, hue shifts from -0.2 s to 0.2 s of the color circle.
        jitter_probability: probability that all four color changes are applied.
        gray: probability of a gray view.
        blur: probability of a Gaussian blur; sigma is 0.1 to 2 pixels for views of 224 pixels and
            scales with ``size``.
        solarize: probability that values of at least 0.5 are inverted.

    Raises:
        InputError: an argument is out of range.

    Example:
        >>> images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
        >>> view, actions = CIFAR(images)
        >>> torch.equal(CIFAR.apply(images[2:], actions.take(torch.tensor([2, 3]))), view[2:])
        True
    """

    size: int
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    jitter: float = 1.0
    jitter_probability: float = 0.8
    gray: float = 0.2
    blur: float = 0.0
    solarize: float = 0.0

    def __post_init__(self) -> None:
        check_positive(size=self.size)
        for name, (low, high), most in (
            ("scale", self.scale, 1.0),
            ("ratio", self.ratio, math.inf),
        ):
            if not 0 < low <= high <= most:
                raise InputError(f"{name} is ({low}, {high}); expected 0 < low <= high <= {most}")
        if not 0 <= self.jitter < 1.25:
            raise InputError(f"jitter is {self.jitter}; expected at least 0 and below 1.25")
        for name in ("flip", "jitter_probability", "gray", "blur", "solarize"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; expected 0 to 1")

    def sample(
        self,
        count: int,
        generator: torch.Generator | None = None,
        device: torch.device | str = "cpu",
    ) -> ImageActions:
        """Draws actions for square images; see :meth:`Views.sample`."""
        check_positive(count=count)
        top, left, height, width = self._boxes(count, generator)
        chance = torch.rand(5, count, generator=generator)
        amount = torch.rand(5, count, generator=generator)
        strength = self.jitter * (chance[1] < self.jitter_probability)
        brightness, contrast, saturation = 1 + 0.8 * strength * (2 * amount[:3] - 1)
        sigma = (0.1 + 1.9 * amount[4]) * self.size / 224
        return ImageActions(
            top=top,
            left=left,
            height=height,
            width=width,
            flip=chance[0] < self.flip,
            brightness=brightness,
            contrast=contrast,
            saturation=saturation,
            hue=0.2 * strength * (2 * amount[3] - 1),
            gray=chance[2] < self.gray,
            blur=sigma * (chance[3] < self.blur),
            solarized=chance[4] < self.solarize,
        ).to(device)

    def apply(self, sources: Tensor, actions: ImageActions) -> Tensor:
        """Makes the views that the actions describe: a deterministic function.

        Pixels are interpolated linearly. Where a crop shrinks, an output pixel is the mean of the
        pixels it covers, weighted by a triangle two output pixels wide, to avoid aliasing.

        Args:
            sources: images, uint8, or float32 from 0 to 1 [B, 3, H, W].
            actions: actions of B views, on the device of the images.

        Returns:
            Views, float32 [B, 3, size, size], from 0 to 1.

        Raises:
            InputError: the images have the wrong shape or type, the numbers of images and actions
                differ, or, on the CPU, a crop has no area or leaves the image, or a color change is
                invalid.
        """
        _check_images(sources)
        _check_boxes(len(sources), actions)
        if sources.device.type == "cpu":
            _check_colors(actions)
        differentiable = any(given.requires_grad for given in (sources, *actions))
        if sources.device.type != "cpu" or differentiable:
            return self.by_tensors(sources, actions)
        return self._compiled(sources, actions)

    def _compiled(self, images: Tensor, actions: ImageActions) -> Tensor:
        """Makes views on the CPU."""
        from plastorch.efference.view_kernels import make_views  # importing numba takes a second

        view = torch.empty(len(images), 3, self.size, self.size)
        scale = np.float32(1 / 255 if images.dtype == torch.uint8 else 1)
        fields = torch.stack([field.double() for field in actions]).numpy()
        given, made = images.contiguous().numpy(), view.numpy()

        def run(begin: int, end: int) -> None:
            make_views(given, scale, fields, made, begin, end)

        in_threads(run, len(view), max(1, view[:, 0].numel() // _PIXELS))
        return view

    def by_tensors(self, images: Tensor, actions: ImageActions) -> Tensor:
        """Makes views by operations on whole tensors: on accelerators, and for gradients."""
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images
        view = resampled(pixels, actions, self.size)
        view = jittered(view, actions.brightness, actions.contrast, actions.saturation, actions.hue)
        view = grayed(view, actions.gray)
        view = blurred(view, actions.blur)
        return solarized(view, actions.solarized)

    def _boxes(self, count: int, generator: torch.Generator | None) -> tuple[Tensor, ...]:
        """Draws top, left, height, width: the first random box that fits, or a central one."""
        area, shape, x, y = torch.rand(4, count, _ATTEMPTS, generator=generator)
        area = self.scale[0] + (self.scale[1] - self.scale[0]) * area
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        shape = torch.exp(low + (high - low) * shape)
        width, height = (area * shape).sqrt(), (area / shape).sqrt()
        fits = (width <= 1) & (height <= 1)
        first = fits.int().argmax(dim=1, keepdim=True)
        x, y, width, height = (v.gather(1, first)[:, 0] for v in (x, y, width, height))
        nearest = min(max(1.0, self.ratio[0]), self.ratio[1])
        some, middle = fits.any(dim=1), torch.tensor(0.5)
        width = torch.where(some, width, min(1.0, nearest))
        height = torch.where(some, height, min(1.0, 1 / nearest))
        x, y = torch.where(some, x, middle), torch.where(some, y, middle)
        return y * (1 - height), x * (1 - width), height, width


CIFAR = ImageViews(32, jitter=0.5)
STL10 = ImageViews(96, blur=0.5, solarize=0.2)
IMAGENET = ImageViews(224, blur=0.5, solarize=0.2)


def resampled(images: Tensor, actions: ImageActions, size: int) -> Tensor:
    """Crops, flips and resizes float images [B, C, H, W] to ``size`` pixels [B, C, size, size]."""
    pose = theta(actions).to(images)
    centers = torch.linspace(1 / size - 1, 1 - 1 / size, size, device=images.device)
    x = pose[:, 0, 0, None] * centers + pose[:, 0, 2, None]
    y = pose[:, 1, 1, None] * centers - pose[:, 1, 2, None]  # downward, like row numbers
    height, width = images.shape[2:]
    if max(height, width) <= size:  # no shrinking: two neighbors along each axis suffice
        grid = torch.stack(
            (x[:, None, :].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)), dim=-1
        )
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    rows = _triangles(y, actions.height.to(y) * height / size, height)
    columns = _triangles(x, actions.width.to(x) * width / size, width)
    return rows[:, None] @ (images @ columns.mT[:, None])


def _triangles(centers: Tensor, shrink: Tensor, length: int) -> Tensor:
    """Returns weights [B, S, L] of L pixels in outputs at centers [B, S] from -1 to 1."""
    pixels = torch.arange(length, device=centers.device)
    apart = pixels - ((centers[..., None] + 1) * length - 1) / 2
    weights = (1 - apart.abs() / shrink.clamp(min=1)[:, None, None]).clamp_(min=0)
    return weights / weights.sum(dim=-1, keepdim=True)


def _check_images(images: Tensor) -> None:
    known = images.dtype in (torch.uint8, torch.float32)
    if not known or images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise InputError(
            f"images have shape {tuple(images.shape)} and type {images.dtype}; expected "
            "[B, 3, H, W], not empty, of torch.uint8, or of torch.float32 from 0 to 1"
        )
    if images.dtype == torch.float32 and images.device.type == "cpu":
        low, high = (float(end) for end in images.detach().aminmax())
        if not -_ROUNDING <= low <= high <= 1 + _ROUNDING:  # NaN is outside, too
            raise InputError(f"images go from {low:g} to {high:g}; expected 0 to 1, or uint8")


def _check_boxes(count: int, actions: ImageActions) -> None:
    if isinstance(actions, ImageActions):
        _check_fields(actions)
    check_image_actions(actions)
    if len(actions.top) != count:
        raise InputError(
            f"actions are of {len(actions.top)} views; expected {count}, one per image"
        )
    for name, start, extent in (
        ("top", actions.top, actions.height),
        ("left", actions.left, actions.width),
    ):
        outside = ~((start >= -_ROUNDING) & (start + extent <= 1 + _ROUNDING))
        if any_on_cpu(outside):
            low, high = float(start[outside][0]), float((start + extent)[outside][0])
            raise InputError(
                f"{name} of a crop is {low:g} and its end is {high:g}; expected 0 to 1"
            )


def _check_fields(actions: ImageActions) -> None:
    """Checks that fields are real numbers or bools, and equally many."""
    check_lengths(actions)
    for name, field in actions._asdict().items():
        known = field.dtype == torch.bool if name in _BOOLS else field.is_floating_point()
        if not known:
            expected = "torch.bool" if name in _BOOLS else "floating point"
            raise InputError(f"{name} is {field.dtype}; expected {expected}")


def _check_colors(actions: ImageActions) -> None:
    names = ("brightness", "contrast", "saturation", "hue", "blur")
    check_finite(**{name: getattr(actions, name) for name in names})
    for name in ("brightness", "contrast", "saturation", "blur"):
        low = float(getattr(actions, name).detach().min())
        if low < 0:
            raise InputError(f"{name} of a view is {low:g}; expected 0 or more")

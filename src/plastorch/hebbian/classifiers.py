"""Classification of many images in batches, and checks of classifiers and images."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from plastorch.engine.errors import InputError

BATCH_SIZE = 250


def on_its_device(model: nn.Module, x: Tensor) -> Tensor:
    """Returns a tensor on the device of a model's parameters."""
    return x.to(next(model.parameters(), x).device)


@torch.no_grad()
def logits(model: nn.Module, images: Tensor) -> Tensor:
    """Returns class scores [N, classes] of images [N, ...], on the images' device."""
    with frozen(model):
        parts = [
            model(on_its_device(model, x)).to(images.device)
            for x in torch.split(images, BATCH_SIZE)
        ]
    return torch.cat(parts)


def predict_classes(model: nn.Module, images: Tensor) -> Tensor:
    """Returns the classes [N] that a model predicts for images [N, ...]."""
    return logits(model, images).argmax(dim=1)


@contextlib.contextmanager
def frozen(*models: nn.Module) -> Iterator[None]:
    """Sets eval mode; turns off weight gradients, which would cost a third of an attack's time."""
    modes = [(module, module.training) for model in models for module in model.modules()]
    wanted = [(p, p.requires_grad) for model in models for p in model.parameters()]
    try:
        for model in models:
            model.eval().requires_grad_(False)
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, requires_grad in wanted:
            parameter.requires_grad_(requires_grad)


def check_images(images: Tensor) -> None:
    """Raises InputError unless images are floats in 0..1, at least one."""
    if not images.is_floating_point() or not images.numel():
        raise InputError(
            f"images is {images.dtype} {list(images.shape)}; expected floats [N, ...], not empty"
        )
    low, high = float(images.min()), float(images.max())
    if not 0 <= low <= high <= 1:  # NaN fails too
        raise InputError(f"images lie in {low:.4g}..{high:.4g}; expected values in 0..1")


def count_classes(name: str, model: nn.Module, images: Tensor, gradient: bool = False) -> int:
    """Returns the number of classes of a model, from two images."""
    x = on_its_device(model, images[:2]).clone().requires_grad_()
    with frozen(model), torch.enable_grad():
        answer = model(x)
    shape: list[int] = list(answer.shape)
    if len(shape) != 2 or shape[0] != len(x) or shape[1] < 2:
        raise InputError(f"{name} gives shape {shape}; expected logits [B, classes], 2 or more")
    if gradient and not answer.requires_grad:
        raise InputError(f"{name} has no gradient; expected one, or a differentiable `through`")
    return shape[1]


def check_classes(name: str, values: Tensor, images: Tensor, classes: int) -> None:
    """Raises InputError unless there is one class, int64 in 0..classes - 1, per image."""
    if values.shape != images.shape[:1] or values.dtype != torch.int64:
        raise InputError(
            f"{name} is {values.dtype} {list(values.shape)}; expected int64 [{len(images)}]"
        )
    low, high = int(values.min()), int(values.max())
    if not 0 <= low <= high < classes:
        raise InputError(f"{name} lie in {low}..{high}; expected 0..{classes - 1}")

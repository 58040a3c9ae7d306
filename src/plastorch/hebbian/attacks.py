"""Robustness of a classifier to noise and to gradient attacks, and images made by attacks.

Attacks use projected gradient descent (PGD) from foolbox, an optional dependency. Moraitis et
al.'s settings aren't known; the defaults are ours. A saturated softmax can hide gradients (they
underflow to 0) and make a fragile network look robust: see ``through`` in :func:`attack`. Against a
linear model, 40 steps from the center of the ball of allowed changes reach its best point, but from
a random start only 0.87 (L2) or 0.89 (L∞) of its effect.
"""

import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from plastorch.engine.errors import InputError, check_one_of, check_positive
from plastorch.engine.streams import seeded, stream
from plastorch.hebbian.classifiers import (
    BATCH_SIZE,
    check_classes,
    check_images,
    count_classes,
    frozen,
    logits,
    on_its_device,
    predict_classes,
)
from plastorch.hebbian.readout import accuracy
from plastorch.hebbian.streams import Stream

Norm = Literal["linf", "l2"]
Through = nn.Module | Sequence[nn.Module] | None


class Interpolation(NamedTuple):
    """Result of targeted attacks of S increasing strengths on N images."""

    images: Tensor
    """Images [S, N, ...]."""
    source_probability: Tensor
    """Probability [S, N] of the class that the model predicts for the clean image."""
    target_probability: Tensor
    """Probability [S, N] of the target."""
    crossing: Tensor
    """First strength at which the target is as probable as the source, int64 [N]; -1 if none."""


def noise_accuracy(
    model: nn.Module, images: Tensor, labels: Tensor, sigmas: Sequence[float], seed: int
) -> list[float]:
    """Returns accuracies under unclipped Gaussian noise: the same noise, scaled by each sigma."""
    check_images(images)
    check_classes("labels", labels, images, count_classes("model", model, images))
    if not all(0 <= sigma < math.inf for sigma in sigmas):
        raise InputError(f"sigmas is {list(sigmas)}; expected finite numbers of at least 0")
    right = [0] * len(sigmas)
    batches = zip(torch.split(images, BATCH_SIZE), torch.split(labels, BATCH_SIZE), strict=True)
    for i, (x, truth) in enumerate(batches):
        noise = torch.randn(x.shape, generator=stream(seed, Stream.NOISE, i)).to(x)
        for j, sigma in enumerate(sigmas):
            right[j] += int((predict_classes(model, x + sigma * noise) == truth).sum())
    return [count / len(images) for count in right]


def attack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    norm: Norm,
    strength: float,
    *,
    steps: int = 40,
    restarts: int = 5,
    seed: int = 0,
    targets: Tensor | None = None,
    through: Through = None,
) -> Tensor:
    """Makes adversarial images by PGD on the cross-entropy, in steps of strength / 30.

    Every image (float [N, ...] in [0, 1]; it stays in that range) is attacked once, then again as
    long as the model gets it right, up to ``restarts`` attempts. The first attempt starts from the
    image itself, later ones from random points of the ball of allowed changes. Returns a successful
    image if there is one, else that of the last attempt.

    Success is a class other than the label, or the target if there are ``targets`` (int64 [N]). The
    gradients are those of ``through`` if given, such as the same network with a lower inverse
    temperature or with its logits divided: neither softmax then saturates. If there are several
    such models, each in turn attacks the images not yet broken.
    """
    check_one_of(get_args(Norm), norm=norm)
    check_positive(steps=steps, restarts=restarts)
    sources = _check_attack(model, images, labels, [strength], through)
    goal = labels if targets is None else _checked_targets(targets, labels, model, images)
    pgd_on = partial(_pgd, norm=norm, strength=strength, steps=steps, targeted=targets is not None)
    result, active = images.clone(), torch.arange(len(images), device=images.device)
    with (
        seeded(seed, on_its_device(model, images[:0]).device),
        frozen(*sources),
        torch.enable_grad(),
    ):
        for source, restart in itertools.product(sources, range(restarts)):
            pgd = pgd_on(source, random_start=restart > 0)
            for rows in torch.split(active, BATCH_SIZE):
                result[rows] = pgd(images[rows], goal[rows])
            reached = predict_classes(model, result[active]) == goal[active]
            active = active[reached if targets is None else ~reached]
            if not len(active):
                break
    return result


def attacked_accuracy(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    norm: Norm,
    strengths: Sequence[float],
    *,
    through: Through = None,
    **how: Any,
) -> list[float]:
    """Returns accuracies under :func:`attack`, to which ``how`` is passed, for ascending strengths.

    An image broken at one strength stays broken, since larger balls contain the smaller ones; only
    unbroken images are attacked further.
    """
    _check_attack(model, images, labels, strengths, through)
    standing, accuracies = predict_classes(model, images) == labels, []
    for strength in strengths:
        if standing.any():
            x, truth = images[standing], labels[standing]
            made = attack(model, x, truth, norm, strength, through=through, **how)
            standing[standing.clone()] = predict_classes(model, made) == truth
        accuracies.append(float(standing.double().mean()))
    return accuracies


def transferred_accuracy(
    models: Mapping[str, nn.Module],
    surrogate: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    norm: Norm,
    strengths: Sequence[float],
    **how: Any,
) -> dict[str, list[float]]:
    """Returns accuracies of models, one per strength, on images made to fool a surrogate.

    Only the surrogate's gradients and predictions drive :func:`attack`, to which ``how`` is passed.
    The models have no influence, so accuracies need not fall from one strength to the next.
    """
    _check_attack(surrogate, images, labels, strengths, None, name="surrogate")
    for name, model in models.items():
        check_classes("labels", labels, images, count_classes(f"models[{name!r}]", model, images))
    accuracies: dict[str, list[float]] = {name: [] for name in models}
    for strength in strengths:
        made = attack(surrogate, images, labels, norm, strength, **how)
        for name, model in models.items():
            accuracies[name].append(accuracy(predict_classes(model, made), labels))
    return accuracies


def area_under_curve(strengths: Sequence[float], accuracies: Sequence[float]) -> float:
    """Returns the mean accuracy over strengths that ascend from 0 (clean images), by trapezoids."""
    if len(strengths) < 2 or strengths[0] != 0:
        raise InputError(f"strengths is {list(strengths)}; expected 0 and at least one more")
    _check_ascending(strengths[1:])
    if len(accuracies) != len(strengths):
        raise InputError(f"accuracies has length {len(accuracies)}; expected {len(strengths)}")
    curve = torch.tensor([strengths, accuracies], dtype=torch.float64)
    return float(torch.trapezoid(curve[1], curve[0]) / curve[0, -1])


def interpolate(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    strengths: Sequence[float],
    *,
    steps: int = 40,
    through: Through = None,
) -> Interpolation:
    """Makes images between the model's class and another, the target [N], by targeted L2 attacks.

    Each of the ascending strengths starts from the clean image, so nothing is random.
    """
    _check_ascending(strengths)
    check_images(images)
    count_classes("model", model, images)
    source = predict_classes(model, images)
    how: dict[str, Any] = {"steps": steps, "restarts": 1, "through": through}
    made = [
        attack(model, images, source, "l2", strength, targets=targets, **how)
        for strength in strengths
    ]
    rows = torch.arange(len(images), device=images.device)
    probability = torch.stack([logits(model, x).softmax(dim=1) for x in made])
    of_source, of_target = probability[:, rows, source], probability[:, rows, targets]
    crossed = of_target >= of_source
    first = torch.where(crossed.any(dim=0), crossed.int().argmax(dim=0), -1)
    return Interpolation(torch.stack(made), of_source, of_target, first)


def _pgd(
    source: nn.Module,
    *,
    norm: Norm,
    strength: float,
    steps: int,
    random_start: bool,
    targeted: bool,
) -> Callable[[Tensor, Tensor], Tensor]:
    """Moves images away from their classes, or toward them if targeted; ``source`` is frozen."""
    foolbox = import_foolbox()
    attack_class = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}[norm]
    pgd = attack_class(abs_stepsize=strength / 30, steps=steps, random_start=random_start)
    criteria = foolbox.criteria
    criterion = criteria.TargetedMisclassification if targeted else criteria.Misclassification

    def run(images: Tensor, classes: Tensor) -> Tensor:
        x = on_its_device(source, images)
        # Without the device, foolbox would move the model to a GPU.
        model = foolbox.PyTorchModel(source, bounds=(0, 1), device=x.device)
        made: Tensor = pgd.run(model, x, criterion(classes.to(x.device)), epsilon=strength)
        if not made.isfinite().all():
            raise InputError("model has NaN or infinite gradients; expected finite ones")
        return made.to(images.device)

    return run


def import_foolbox() -> Any:
    """Imports foolbox, the optional dependency of attacks; raises InputError if it is missing."""
    try:
        with warnings.catch_warnings():
            # foolbox 3.3 imports from a namespace that SciPy has deprecated.
            warnings.filterwarnings("ignore", ".*scipy.ndimage", DeprecationWarning)
            import foolbox
    except ImportError:
        raise InputError('foolbox is missing; expected: pip install "plastorch[attacks]"') from None
    return foolbox


def _check_attack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    strengths: Sequence[float],
    through: Through,
    *,
    name: str = "model",
) -> Sequence[nn.Module]:
    """Checks the arguments of all attacks; returns the models whose gradients are followed."""
    _check_ascending(strengths)
    check_images(images)
    classes = count_classes(name, model, images, gradient=through is None)
    check_classes("labels", labels, images, classes)
    if through is None:
        return [model]
    sources = [through] if isinstance(through, nn.Module) else through
    if not sources or any(count_classes("through", m, images, True) != classes for m in sources):
        raise InputError(f"through doesn't fit; expected models that give {classes} classes")
    return sources


def _check_ascending(strengths: Sequence[float]) -> None:
    if not strengths or not all(a < b for a, b in itertools.pairwise([0, *strengths, math.inf])):
        raise InputError(
            f"strengths is {list(strengths)}; expected finite numbers above 0, ascending"
        )


def _checked_targets(targets: Tensor, labels: Tensor, model: nn.Module, images: Tensor) -> Tensor:
    check_classes("targets", targets, images, count_classes("model", model, images))
    if (same := targets == labels).any():
        i = int(same.int().argmax())
        raise InputError(f"targets[{i}] is {int(targets[i])}, the source; expected another class")
    return targets

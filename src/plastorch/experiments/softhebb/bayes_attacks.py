"""Noise, attacks and images between classes for the networks of softhebb-bayes."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.data import ImageSet
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.experiments.softhebb.bayes_networks import CONTROLS, BayesConfig, BayesNetworks, Kind
from plastorch.hebbian.attacks import (
    Interpolation,
    Norm,
    attacked_accuracy,
    interpolate,
    noise_accuracy,
    transferred_accuracy,
)
from plastorch.hebbian.classifiers import predict_classes
from plastorch.hebbian.shallow import softened
from plastorch.hebbian.streams import Stream

SIGMAS = tuple(i / 10 for i in range(11))
STRENGTHS: dict[Norm, tuple[float, ...]] = {
    "linf": tuple(i / 255 for i in (8, 16, 32, 48, 64, 96, 128)),
    "l2": (0.5, 1.0, 2.0, 3.0, 4.0, 5.0),
}
INTERPOLATION_STRENGTHS = tuple(i / 2 for i in range(1, 25))
PART = 250
"""Number of images that are attacked between two chances to stop."""

Job = Callable[[], list[Record]]


def robustness(config: BayesConfig, nets: BayesNetworks, images: ImageSet, seed: int) -> list[Job]:
    """Measures accuracy on noisy and attacked images in parts, weighted by their sizes."""
    if not config.attacked_images:
        return []
    count = min(config.attacked_images, len(images.test_images))
    parts = [
        (images.test_images[rows] / 255, images.test_labels[rows])
        for rows in torch.split(torch.arange(count), PART)
    ]
    subjects: dict[str, nn.Module] = {kind: nets.long[kind] for kind in config.networks}
    how = {"steps": config.attack_steps, "restarts": config.restarts, "seed": seed}

    def records(attack: str, kind: str, size: int, curve: dict[float, float]) -> list[Record]:
        return [
            {"attack": attack, "network": kind, "images": size, "strength": s, "accuracy": a}
            for s, a in curve.items()
        ]

    def noisy(kind: str) -> list[Record]:
        x, labels = images.test_images / 255, images.test_labels
        found = noise_accuracy(subjects[kind], x, labels, SIGMAS, seed)
        return records("noise", kind, len(x), dict(zip(SIGMAS, found, strict=True)))

    def attacked(kind: str, norm: Norm, x: Tensor, labels: Tensor) -> list[Record]:
        net = subjects[kind]
        clean = noise_accuracy(net, x, labels, [0], seed)
        sources = [net, softened(net)]
        found = attacked_accuracy(net, x, labels, norm, STRENGTHS[norm], through=sources, **how)
        curve = dict(zip((0.0, *STRENGTHS[norm]), clean + found, strict=True))
        return records(norm, kind, len(x), curve)

    def transferred(norm: Norm, x: Tensor, labels: Tensor) -> list[Record]:
        strengths = STRENGTHS[norm]
        found = transferred_accuracy(
            subjects, nets.judge, x, labels, norm=norm, strengths=strengths, **how
        )
        made: list[Record] = []
        for kind, net in subjects.items():
            curve = noise_accuracy(net, x, labels, [0], seed) + found[kind]
            points = dict(zip((0.0, *strengths), curve, strict=True))
            made += records(f"transfer-{norm}", kind, len(x), points)
        return made

    jobs: list[Job] = [partial(noisy, kind) for kind in subjects]
    for norm in STRENGTHS:
        for x, labels in parts:
            jobs += [partial(attacked, kind, norm, x, labels) for kind in subjects]
            jobs.append(partial(transferred, norm, x, labels))
    return jobs


class Turned(NamedTuple):
    """Images that attacks turn from their class into another."""

    images: Tensor
    source: Tensor
    target: Tensor


def interpolation(
    config: BayesConfig, nets: BayesNetworks, images: ImageSet, arrays: dict[str, Tensor]
) -> list[Job]:
    """Makes images between two classes, and asks an independent network what it sees in them."""
    turned = _turned(config, nets, images)
    if not len(turned.images):  # networks that agree on no image have nothing to compare
        return []
    means = torch.stack(
        [
            images.train_images[images.train_labels == c].float().mean(0) / 255
            for c in range(len(images.classes))
        ]
    )

    def between(kind: Kind) -> list[Record]:
        net = nets.long[kind]
        right = predict_classes(net, turned.images) == turned.source
        own = Turned(*(part[right] for part in turned))
        if not right.any():
            return [{"network": kind, "crossed": 0.0}]
        strengths, through = INTERPOLATION_STRENGTHS, [net, softened(net)]
        made = interpolate(
            net, own.images, own.target, strengths, steps=config.attack_steps, through=through
        )
        if kind not in CONTROLS:
            arrays[f"interpolated_{kind}"] = made.images[:, :6].cpu().contiguous()
            arrays[f"interpolated_{kind}_p"] = torch.stack(
                [made.source_probability[:, :6], made.target_probability[:, :6]]
            ).cpu()
        return [{"network": kind, **_seen_between(made, own, nets.judge, means)}]

    arrays["interpolated_start"] = turned.images[:6].cpu()
    arrays["interpolated_classes"] = torch.stack([turned.source[:6], turned.target[:6]]).cpu()
    return [partial(between, kind) for kind in config.networks]


def _turned(config: BayesConfig, nets: BayesNetworks, images: ImageSet) -> Turned:
    """Returns images on which all networks are right, but for controls: they may be wrong."""
    x, labels = images.test_images[: 2 * config.attacked_images] / 255, images.test_labels
    random = stream(0, Stream.TARGETS)
    shift = torch.randint(1, len(images.classes), (len(x),), generator=random).to(labels.device)
    sure = torch.ones(len(x), dtype=torch.bool, device=x.device)
    for kind in config.networks:
        if kind not in CONTROLS:
            sure &= nets.long[kind](x).argmax(dim=1) == labels[: len(x)]
    rows = sure.nonzero().flatten()[: max(1, config.attacked_images // 5)]
    source = labels[rows]
    return Turned(x[rows], source, (source + shift[rows]) % len(images.classes))


def _seen_between(
    made: Interpolation, turned: Turned, judge: nn.Module, means: Tensor
) -> dict[str, float]:
    """Returns what a judge sees in images half-way, and whether they changed toward the target."""
    x, source, target = turned
    crossed = made.crossing >= 0
    if not crossed.any():
        return {"crossed": 0.0}
    at = made.images[made.crossing.clamp(min=0), torch.arange(len(x), device=x.device)]
    judged = judge(at).softmax(dim=1)
    seen = judged.gather(1, target[:, None])[:, 0]
    top2 = judged.topk(2, dim=1).indices.sort(dim=1).values
    pair = torch.stack([source, target], dim=1).sort(dim=1).values
    change, towards = (at - x).flatten(1), (means[target] - x).flatten(1)
    strength = torch.tensor(INTERPOLATION_STRENGTHS)[made.crossing[crossed].cpu()]
    return {
        "crossed": float(crossed.float().mean()),
        "strength": float(strength.mean()),
        "judge_target": float(seen[crossed].mean()),
        "judge_both": float((top2 == pair).all(dim=1)[crossed].float().mean()),
        "direction": float(F.cosine_similarity(change, towards)[crossed].mean()),
    }

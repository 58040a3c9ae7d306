"""Noise, attacks and images between classes for the networks of softhebb-bayes."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.data import ImageSet
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.experiments.softhebb.bayes_networks import KINDS, BayesConfig, BayesNetworks
from plastorch.hebbian.attacks import (
    Norm,
    attacked_accuracy,
    interpolate,
    noise_accuracy,
    transferred_accuracy,
)
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
    count = min(config.attacked_images, len(images.test_images))
    parts = [
        (images.test_images[rows] / 255, images.test_labels[rows])
        for rows in torch.split(torch.arange(count), PART)
    ]
    subjects = {kind: nets.long[kind] for kind in KINDS}
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

    jobs: list[Job] = [partial(noisy, kind) for kind in KINDS]
    for norm in STRENGTHS:
        for x, labels in parts:
            jobs += [partial(attacked, kind, norm, x, labels) for kind in KINDS]
            jobs.append(partial(transferred, norm, x, labels))
    return jobs


def interpolation(
    config: BayesConfig, nets: BayesNetworks, images: ImageSet, arrays: dict[str, Tensor]
) -> list[Job]:
    """Makes images between two classes, and asks an independent network what it sees in them."""
    x, labels = images.test_images[: 2 * config.attacked_images] / 255, images.test_labels
    random = stream(0, Stream.TARGETS)
    shift = torch.randint(1, len(images.classes), (len(x),), generator=random).to(labels.device)
    sure = torch.ones(len(x), dtype=torch.bool, device=x.device)
    for kind in KINDS:
        sure &= nets.long[kind](x).argmax(dim=1) == labels[: len(x)]
    rows = sure.nonzero().flatten()[: max(1, config.attacked_images // 5)]
    if not len(rows):  # networks that agree on no image have nothing to compare
        return []
    x, source = x[rows], labels[rows]
    target = (source + shift[rows]) % len(images.classes)
    means = torch.stack(
        [
            images.train_images[images.train_labels == c].float().mean(0) / 255
            for c in range(len(images.classes))
        ]
    )

    def between(kind: str) -> list[Record]:
        net = nets.long[kind]
        through = [net, softened(net)]
        made = interpolate(
            net, x, target, INTERPOLATION_STRENGTHS, steps=config.attack_steps, through=through
        )
        crossed = made.crossing >= 0
        at = made.images[made.crossing.clamp(min=0), torch.arange(len(x), device=x.device)]
        judged = nets.judge(at).softmax(dim=1)
        seen = judged.gather(1, target[:, None])[:, 0]
        top2 = judged.topk(2, dim=1).indices.sort(dim=1).values
        pair = torch.stack([source, target], dim=1).sort(dim=1).values
        change, towards = (at - x).flatten(1), (means[target] - x).flatten(1)
        arrays[f"interpolated_{kind}"] = made.images[:, :6].cpu().contiguous()
        arrays[f"interpolated_{kind}_p"] = torch.stack(
            [made.source_probability[:, :6], made.target_probability[:, :6]]
        ).cpu()
        if not crossed.any():
            return [{"network": kind, "crossed": 0.0}]
        strength = torch.tensor(INTERPOLATION_STRENGTHS)[made.crossing[crossed].cpu()]
        return [
            {
                "network": kind,
                "crossed": float(crossed.float().mean()),
                "strength": float(strength.mean()),
                "judge_target": float(seen[crossed].mean()),
                "judge_both": float((top2 == pair).all(dim=1)[crossed].float().mean()),
                "direction": float(F.cosine_similarity(change, towards)[crossed].mean()),
            }
        ]

    arrays["interpolated_start"] = x[:6].cpu()
    arrays["interpolated_classes"] = torch.stack([source[:6], target[:6]]).cpu()
    return [partial(between, kind) for kind in KINDS]

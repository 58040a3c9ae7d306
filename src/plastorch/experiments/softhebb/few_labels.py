"""Few labels: a readout of features learned without labels, against what can be done without these.

The network is that of Journé et al., *Hebbian Deep Learning Without Feedback*, ICLR 2023. It learns
from all images without their labels; then a few images of each class are labeled, for a ridge
readout of these in several views. The same readout sees a network whose weights are sampled
patches, one with random weights, and plain pixels; and a network of the same blocks learns from the
labeled images by backprop.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.data import ImageSet, crop_and_flip, load_images
from plastorch.engine.device import Precision, autocast, fast_matmul
from plastorch.engine.errors import InputError
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Claim, Record
from plastorch.engine.streams import stream
from plastorch.experiments.claims import above, asserted, at_least
from plastorch.experiments.context import Context
from plastorch.experiments.preset_defaults import Count, Fraction, Settings
from plastorch.hebbian.backprop import BackpropTraining, classify
from plastorch.hebbian.features import FeatureExtraction
from plastorch.hebbian.networks import SoftHebbNet
from plastorch.hebbian.presets import Rule, Width, preset
from plastorch.hebbian.readout import accuracy
from plastorch.hebbian.sampling import PatchSampling
from plastorch.hebbian.streams import Stream
from plastorch.hebbian.train import HebbianTraining
from plastorch.learning.phases import Phase

ENCODERS: tuple[Rule, ...] = ("soft", "sampled", "random")
"""Rules of the networks whose features a readout sees."""
NAMES = {
    "soft": "SoftHebb",
    "sampled": "sampled patches",
    "random": "random weights",
    "pixels": "pixels",
    "backprop": "end-to-end backprop on the labeled images",
}
PENALTIES = np.logspace(3, -2, 11)
"""Penalties of the ridge readout, in units of the number of features; the best one is found by
leaving out labeled images. With one of each class that tells nothing, and the first is taken."""
FOLDS = 10
"""Number of parts in which labeled images are left out."""
FEATURES = 4096
"""Features whose products are summed at a time."""
VIEWS = 10
"""Views of a labeled image: itself, its mirror image, and others that are shifted by chance, of
which half are mirrored."""
SHIFT = 4
"""Maximum shift along each axis, pixels."""
UNLABELED = 2000
"""Images, without labels, whose features give the mean and the deviation of each feature."""
COST = 2 / 3
"""Forward passes that learning from an image takes, of SoftHebb's rule in units of backprop's."""
EPOCHS = 10
"""Parts of the training by backprop, through which its learning rate falls."""


@dataclass(frozen=True)
class FewLabelsConfig(Settings):
    """Settings of softhebb-few-labels.

    Args:
        dataset: images to learn.
        depth: number of layers.
        width: width of the layers; see softhebb-cifar10.
        labels: numbers of labeled images per class; each seed draws other images.
        precision: precision of matrix products.
        validation: share of the training set that is held out and used in place of the test set,
            for choosing settings.
    """

    dataset: Literal["cifar10", "cifar100"] = "cifar10"
    depth: Count = 3
    width: Width = "4x"
    labels: tuple[Count, ...] = (1, 4, 25)
    precision: Precision = "bf16"
    validation: Fraction = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.labels or list(self.labels) != sorted(set(self.labels)):
            raise InputError(f"labels is {self.labels}; expected ascending numbers, all different")

    def network(self, rule: Rule, images: ImageSet, seed: int) -> SoftHebbNet:
        """Returns an untrained network; its readout sees all blocks, and neurons as ON and OFF."""
        spec = preset(self.dataset, self.depth, self.width, rule)
        if rule != "backprop":
            spec = replace(spec, readout_from="all", on_off=True)
        channels, side = images.train_images.shape[1:3]
        random = stream(seed, Stream.WEIGHTS)
        return SoftHebbNet(spec, channels, side, len(images.classes), generator=random)


def measure(config: FewLabelsConfig, context: Context) -> dict[str, Any]:
    """Trains all networks, and returns the result; writes it into the run folder."""
    images = load_images(config.dataset, context.data)
    if config.validation:
        images = images.validation_split(config.validation, context.seed)
    if context.quick:
        config, images = replace(config, width="quarter"), images.few(1000, 500, context.seed)
    if images.notice:
        context.tell(images.notice)
    labeled = {n: labeled_rows(images, n, context.seed) for n in config.labels}
    taught = {n: config.network("backprop", images, context.seed) for n in config.labels}
    encoders: dict[str, SoftHebbNet] = {
        rule: config.network(rule, images, context.seed) for rule in ENCODERS
    }
    nets = nn.ModuleDict(encoders | {f"backprop-{n}": net for n, net in taught.items()})
    nets.to(context.device)
    loop = Loop(context.run, nets)
    started = context.start(config, images.description())
    with fast_matmul(), autocast(config.precision, context.device):
        for rule, net in encoders.items():
            for phase in _unlabeled(rule, net, images, context.seed):
                loop.run(phase)
        for n, net in taught.items():
            loop.run(_taught(net, images, labeled[n], context.seed, f"backprop-{n}"))
        jobs = [
            partial(_read, net, rule, images, labeled, seed=context.seed)
            for rule, net in encoders.items()
        ]
        jobs.append(partial(_read, None, "pixels", images, labeled, seed=context.seed))
        jobs += [partial(_test, net, n, images) for n, net in taught.items()]
        loop.run(Jobs("readouts", jobs))
    metrics = _metrics(context.run.records())
    evidence = config == FewLabelsConfig() and not (context.quick or images.notice)
    return context.finish(started, loop, metrics, asserted(_claims(config, metrics), evidence))


def labeled_rows(images: ImageSet, per_class: int, seed: int) -> Tensor:
    """Returns rows of labeled training images, as many of each class."""
    order = torch.randperm(
        len(images.train_labels), generator=stream(seed, Stream.LABELED_IMAGES, per_class)
    )
    labels = images.train_labels[order]
    rows = [order[labels == label][:per_class] for label in range(len(images.classes))]
    least = min(map(len, rows))
    if least < per_class:
        raise InputError(f"labels is {per_class}; expected at most {least}: one class has no more")
    return torch.cat(rows)


def _unlabeled(rule: str, net: SoftHebbNet, images: ImageSet, seed: int) -> list[Phase]:
    """Returns what makes a network's weights, none of which needs labels."""
    learning = HebbianTraining(
        net, images.train_images, mode="consecutive", seed=seed, plastic=rule == "soft"
    )
    learning.name = f"unlabeled-{rule}"
    sampling = [PatchSampling(net, images.train_images, seed)] if rule == "sampled" else []
    return [*sampling, learning]


def _taught(
    net: SoftHebbNet, images: ImageSet, rows: Tensor, seed: int, name: str
) -> BackpropTraining:
    """Returns a training by backprop that takes as much computing as SoftHebb's own."""
    seen = COST * len(images.train_images) / EPOCHS
    rows = rows.repeat(max(1, round(seen / len(rows))))
    training = BackpropTraining(
        net,
        images.train_images[rows],
        images.train_labels[rows],
        epochs=EPOCHS,
        seed=seed,
        augment=lambda batch, of, random: crop_and_flip(batch, SHIFT, random),
    )
    training.name = name
    return training


def _read(
    net: SoftHebbNet | None, name: str, images: ImageSet, labeled: dict[int, Tensor], seed: int
) -> list[Record]:
    """Trains and tests a readout for each number of labels; None for one of pixels."""
    unlabeled = _features(net, images.train_images[:UNLABELED])
    mean, deviation = unlabeled.mean(dim=0), unlabeled.std(dim=0)
    deviation = deviation.clamp_min(deviation.mean() / 10)
    del unlabeled
    test = _features(net, images.test_images).sub_(mean).div_(deviation)
    found: list[Record] = []
    for n, rows in labeled.items():
        seen = views(images.train_images[rows], seed)
        train = _features(net, seen).sub_(mean).div_(deviation)
        given = images.train_labels[rows].repeat(VIEWS)
        answers = ridge(train, given, test, len(images.classes))
        right = accuracy(answers, images.test_labels)
        found.append({"network": name, "labels": n, "test_accuracy": right})
    return found


def views(images: Tensor, seed: int) -> Tensor:
    """Returns views of images [N, C, H, W]: N as they are, N mirrored, then those shifted."""
    random = stream(seed, Stream.VIEW)
    shifted = [crop_and_flip(images, SHIFT, random).to(images.dtype) for _ in range(VIEWS - 2)]
    return torch.cat([images, images.flip(3), *shifted])


def _features(net: SoftHebbNet | None, images: Tensor) -> Tensor:
    """Returns features of images [N, F], float32, on the CPU: a network's, or the pixels."""
    if net is None:
        return images.flatten(1).float()
    extraction = FeatureExtraction(net, images)
    while extraction.position < extraction.total:
        extraction.step()
    return extraction.features.float().cpu()


def products(rows: Tensor) -> Tensor:
    """Returns the products of all rows [N, F] with each other, float64 [N, N]: rounding to float32
    can be more than the smallest penalty."""
    found = torch.zeros(len(rows), len(rows), dtype=torch.float64)
    for part in torch.split(rows, FEATURES, dim=1):
        wide = part.double()
        found.addmm_(wide, wide.T)
    return found


def ridge(train: Tensor, labels: Tensor, test: Tensor, classes: int) -> Tensor:
    """Returns the classes that a ridge readout gives to test features; all views of an image are
    left out together when its penalty is found."""
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.model_selection import GridSearchCV, GroupKFold

    images = len(train) // VIEWS
    kernel = products(train).div_(train.shape[1]).numpy()
    targets = F.one_hot(labels, classes).double().numpy() - 1 / classes
    search = GridSearchCV(
        KernelRidge(kernel="precomputed"),
        {"alpha": PENALTIES},
        scoring=_right,
        cv=GroupKFold(min(FOLDS, images), shuffle=True, random_state=0),
    ).fit(kernel, targets, groups=np.arange(len(train)) % images)
    weight = train.T @ torch.from_numpy(search.best_estimator_.dual_coef_).float()
    return (test @ weight).argmax(dim=1)


def _right(model: Any, kernel: Any, targets: Any) -> float:
    return float((model.predict(kernel).argmax(axis=1) == targets.argmax(axis=1)).mean())


def _test(net: SoftHebbNet, labels: int, images: ImageSet) -> list[Record]:
    right = accuracy(classify(net, images.test_images).cpu(), images.test_labels)
    return [{"network": "backprop", "labels": labels, "test_accuracy": right}]


def _metrics(records: Sequence[Record]) -> dict[str, float]:
    """Returns accuracies by network and number of labels, SoftHebb's of most labels first."""
    rows = [record for record in records if record["phase"] == "readouts"]
    found = {
        f"{row['network']}_{row['labels']}_accuracy": float(row["test_accuracy"]) for row in rows
    }
    most = max(int(row["labels"]) for row in rows)
    return {"test_accuracy": found[f"soft_{most}_accuracy"]} | found


def _claims(config: FewLabelsConfig, metrics: dict[str, float]) -> list[Claim]:
    """Returns claims that features learned without labels are worth more than anything else."""
    found = []
    for n in config.labels:
        soft, count = metrics[f"soft_{n}_accuracy"], f"{n} label{'s' * (n > 1)} per class"
        for name in ("sampled", "random", "pixels", "backprop"):
            statement = f"{count}: SoftHebb above {NAMES[name]}"
            other = metrics[f"{name}_{n}_accuracy"]
            found.append(above(f"{name}-{n}", statement, soft, other))
    most = config.labels[-1]
    ahead = metrics[f"soft_{most}_accuracy"] - metrics[f"backprop_{most}_accuracy"]
    statement = f"{most} labels per class: ten points above a network trained on them by backprop"
    return [*found, at_least("ahead", statement, ahead, 0.1)]

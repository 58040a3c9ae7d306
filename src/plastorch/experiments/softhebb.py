"""Deep SoftHebb on images: blocks learn without labels, then a linear readout is trained.

Paper: Journé, Garcia Rodriguez, Guo, Moraitis, *Hebbian Deep Learning Without Feedback*, ICLR 2023.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from plastorch.data import ImageSet, crop_and_flip, jittered, load_images, resized_crop_and_flip
from plastorch.engine.device import fast_matmul, generator
from plastorch.engine.distributed import check_parts
from plastorch.engine.errors import InputError, check_positive
from plastorch.engine.loop import Loop
from plastorch.engine.run import result
from plastorch.experiments.analyses import Analyses, some_images
from plastorch.experiments.session import Session
from plastorch.experiments.softhebb_claims import claims
from plastorch.hebbian.backprop import BackpropTraining, classify
from plastorch.hebbian.networks import ReadoutFrom, SoftHebbNet, blocks_of
from plastorch.hebbian.presets import Architecture, Data, Rule, Width, preset
from plastorch.hebbian.readout import (
    FeatureExtraction,
    ReadoutTraining,
    accuracy,
    augmented,
    cached,
    confusion,
    scores,
)
from plastorch.hebbian.sweeps import SWEPT, Setting, Sweep
from plastorch.hebbian.train import R1_TOLERANCE, Augment, HebbianTraining, Mode

PAPER = "Journé et al. 2023, Hebbian Deep Learning Without Feedback, arXiv 2209.11883"

VIEWS = 9
"""Of each training digit, for the readout; the network's features of them are kept."""
QUICK_MACS = 0.9e12
"""Multiply-accumulates of one forward pass over all images of a smoke run."""


@dataclass(frozen=True)
class SoftHebbConfig:
    """Settings of a deep SoftHebb run; the defaults are the paper's.

    Args:
        depth: plastic layers.
        width: growth of the channels from layer to layer, or scale of all layers.
        rule: soft is SoftHebb; hard, random and backprop are baselines.
        architecture: of the baselines: SoftHebb's own, or the one that the paper's code used.
        mode: train blocks one after the other, or all on the same mini-batches.
        precision: of matrix products; updates, norms and the readout stay in fp32.
        batch_size: images per Hebbian update.
        unsupervised_epochs: passes of the blocks over the images.
        readout_epochs: passes of the readout (or of backprop) over the labelled images.
        readout_batch_size: rows per update of the readout.
        readout_learning_rate: of its first epoch.
        statistics_pass: for rule random: gather batch statistics before the readout.
        validation: this share of the training set is held out and tested on instead of the test
            set; for choosing settings.
        readout_from: blocks whose features the readout sees.
        mirrored: the readout also learns from the mirror images; how well it does with the scores
            of a test image and of its mirror image together is told apart.
        sweep: after training, train many such networks on up to 10,000 images, over temperatures
            or over initial radii, to see how accuracy depends on them.
    """

    depth: int = 3
    width: Width = "4x"
    rule: Rule = "soft"
    architecture: Architecture = "matched"
    mode: Mode = "successive"
    precision: Literal["fp32", "bf16"] = "fp32"
    batch_size: int = 10
    unsupervised_epochs: int = 1
    readout_epochs: int = 50
    readout_batch_size: int = 64
    readout_learning_rate: float = 1e-3
    statistics_pass: bool = True
    validation: float = 0.0
    readout_from: ReadoutFrom = "last"
    mirrored: bool = False
    sweep: Literal["none", "temperature", "radius"] = "none"

    def __post_init__(self) -> None:
        check_positive(
            batch_size=self.batch_size,
            unsupervised_epochs=self.unsupervised_epochs,
            readout_epochs=self.readout_epochs,
            readout_batch_size=self.readout_batch_size,
            readout_learning_rate=self.readout_learning_rate,
        )
        if not 0 <= self.validation < 1:
            raise InputError(f"validation is {self.validation}; expected at least 0 and below 1")
        if self.rule == "backprop" and (self.mirrored or self.readout_from != "last"):
            raise InputError(
                "rule is 'backprop'; expected another, or mirrored and readout_from at their "
                "defaults: there is no readout apart"
            )
        if self.mirrored and self.preset_data == "mnist":
            raise InputError(
                "mirrored is True; expected False for digits: mirrored, few are digits"
            )
        preset(self.preset_data, self.depth, self.width, self.rule, self.architecture)

    @property
    def preset_data(self) -> Data:
        """The data set whose presets are used."""
        return "cifar10"


@dataclass(frozen=True)
class MnistConfig(SoftHebbConfig):
    """Settings of softhebb-mnist."""

    depth: int = 2
    mode: Mode = "consecutive"
    readout_epochs: int = 100
    dataset: Literal["mnist", "fashion-mnist"] = "mnist"

    @property
    def preset_data(self) -> Data:
        """The data set whose presets are used."""
        return self.dataset


@dataclass(frozen=True)
class Cifar10Config(SoftHebbConfig):
    """Settings of softhebb-cifar10."""


@dataclass(frozen=True)
class Cifar100Config(SoftHebbConfig):
    """Settings of softhebb-cifar100."""

    @property
    def preset_data(self) -> Data:
        """The data set whose presets are used."""
        return "cifar100"


@dataclass(frozen=True)
class Stl10Config(SoftHebbConfig):
    """Settings of softhebb-stl10: 100,000 unlabelled images, 5,000 labelled, augmented readout."""

    depth: int = 4
    batch_size: int = 32
    readout_epochs: int = 100

    @property
    def preset_data(self) -> Data:
        """The data set whose presets are used."""
        return "stl10"


@dataclass(frozen=True)
class ImageNetConfig(SoftHebbConfig):
    """Settings of softhebb-imagenet; ``dataset`` may be its ten-class subset."""

    depth: int = 5
    readout_epochs: int = 200
    readout_batch_size: int = 32
    dataset: Literal["imagenet", "imagenette"] = "imagenet"

    @property
    def preset_data(self) -> Data:
        """The data set whose presets are used."""
        return self.dataset


def measure(config: SoftHebbConfig, session: Session) -> dict[str, Any]:
    """Trains and tests a network; writes arrays and result into the run folder.

    Args:
        config: what to train.
        session: where, on what, with which seed.

    Returns:
        The contents of ``result.json``.

    Raises:
        InputError: if data, images or a checkpoint to resume are unusable.
        Interrupted: if the user stopped it; the run folder can be resumed.
    """
    check_parts(batch_size=config.batch_size, readout_batch_size=config.readout_batch_size)
    images = _load(config, session)
    if config.validation:
        images = images.validation_split(config.validation, session.seed)
    spec = preset(config.preset_data, config.depth, config.width, config.rule, config.architecture)
    spec = replace(spec, readout_from=config.readout_from)
    channels, side = images.train_images.shape[1:3]
    net = SoftHebbNet(spec, channels, side, len(images.classes), generator(session.seed, 0))
    if session.quick:
        config, images = _quick(config, images, net, session.seed)
    if images.notice:
        session.tell(images.notice)
    net.to(session.device)
    loop = Loop(session.run, net)
    started = _result(config, session, images)
    session.run.write_result(started)
    with fast_matmul():
        train = _train_end_to_end if config.rule == "backprop" else _train_locally
        predicted, found = train(config, session, images, net, loop)
        if config.sweep != "none":
            loop.run(_sweep(config.sweep, config, session, images))
        analyses = Analyses(net, images, session.seed, fields=config.rule != "random")
        loop.recompute(analyses)
    table = confusion(predicted, images.test_labels, len(images.classes))
    session.run.write_arrays({"confusion": table} | analyses.arrays)
    metrics = {"test_accuracy": accuracy(predicted, images.test_labels)} | found | _radii(net)
    judged = claims(config, images, session.quick, metrics["test_accuracy"])
    return session.finish(started, loop, metrics, judged)


def _load(config: SoftHebbConfig, session: Session) -> ImageSet:
    """The images; oblong ones, which only a user's own may be, squashed to their shorter side."""
    images = load_images(config.preset_data, session.data)
    height, width = images.train_images.shape[2:]
    if height == width:
        return images
    return load_images(config.preset_data, session.data, image_size=min(height, width))


def _train_locally(
    config: SoftHebbConfig, session: Session, images: ImageSet, net: SoftHebbNet, loop: Loop
) -> tuple[Tensor, dict[str, float]]:
    """Blocks by their local rule, then the readout; returns the classes of the test images."""
    augment = _augmentation(config, images, net.image_size)
    test = FeatureExtraction(net, images.test_images)
    views = images.train_images if augment else _views(config, images.train_images, session.seed)
    count = len(views) // len(images.train_images)
    kept = torch.float16 if count == 1 else torch.float8_e5m2
    train = FeatureExtraction(net, views, dtype=kept)
    with _precision(config, session):
        if config.rule != "random" or config.statistics_pass:
            unlabelled, unlabelled_augment = _unlabelled(config, session, images, augment)
            training = HebbianTraining(
                net,
                unlabelled,
                config.batch_size,
                config.unsupervised_epochs,
                config.mode,
                session.seed,
                plastic=config.rule != "random",
                augment=unlabelled_augment,
            )
            loop.run(training)
        for extraction in (test,) if augment else (test, train):
            loop.recompute(extraction)
    if augment:
        source = augmented(net, images.train_images, augment, _precision(config, session))
    else:
        source = cached(train.features, count)
    readout = ReadoutTraining(
        net.readout,
        source,
        images.train_labels,
        test.features,
        images.test_labels,
        config.readout_epochs,
        config.readout_batch_size,
        net.spec.dropout,
        config.readout_learning_rate,
        session.seed,
    )
    loop.run(readout)
    of_test = scores(net.readout, test.features)
    if not config.mirrored:
        return of_test.argmax(dim=1).cpu(), {}
    mirror = FeatureExtraction(net, images.test_images.flip(3))
    with _precision(config, session):
        loop.recompute(mirror)
    both = (of_test + scores(net.readout, mirror.features)).argmax(dim=1).cpu()
    told_apart = {"test_accuracy_with_mirror_images": accuracy(both, images.test_labels)}
    return of_test.argmax(dim=1).cpu(), told_apart


def _train_end_to_end(
    config: SoftHebbConfig, session: Session, images: ImageSet, net: SoftHebbNet, loop: Loop
) -> tuple[Tensor, dict[str, float]]:
    """The backprop baseline; returns the classes of the test images."""
    augment = _augmentation(config, images, net.image_size)
    if config.preset_data == "mnist":
        augment = _jitter
    with _precision(config, session):
        training = BackpropTraining(
            net,
            images.train_images,
            images.train_labels,
            images.test_images,
            images.test_labels,
            config.readout_epochs,
            config.readout_batch_size,
            config.readout_learning_rate,
            session.seed,
            augment=augment,
        )
        loop.run(training)
        return classify(net, images.test_images).cpu(), {}


def _augmentation(config: SoftHebbConfig, images: ImageSet, side: int) -> Augment | None:
    """The paper's augmentation of labelled images, where it has one."""
    if config.preset_data == "stl10":
        return lambda batch, rows, random: crop_and_flip(batch, 4, random)
    if config.preset_data in ("imagenet", "imagenette"):
        return lambda batch, rows, random: resized_crop_and_flip(
            batch, side, None if images.aspect is None else images.aspect[rows], generator=random
        )
    return None


def _views(config: SoftHebbConfig, images: Tensor, seed: int) -> Tensor:
    """Images as they are, then others of which the features are kept too; N of each view in turn.

    Digits are turned, scaled and moved a little; others are mirrored, if that is wanted.
    """
    if config.preset_data != "mnist":
        return torch.cat([images, images.flip(3)]) if config.mirrored else images
    others = (jittered(images, generator=generator(seed, 13, view)) for view in range(1, VIEWS))
    return torch.cat([images, *others])


def _jitter(batch: Tensor, rows: Tensor, random: torch.Generator) -> Tensor:
    return jittered(batch.float(), generator=random)


def _unlabelled(
    config: SoftHebbConfig, session: Session, images: ImageSet, augment: Augment | None
) -> tuple[Tensor, Augment | None]:
    """The images that the blocks learn from, and how they are augmented."""
    if images.unlabelled_images is not None:
        return images.unlabelled_images, None
    if config.preset_data != "imagenet":
        return images.train_images, None
    tenth = torch.randperm(len(images.train_images), generator=generator(session.seed, 6))
    rows = tenth[: max(1, len(tenth) // 10)]
    return images.train_images[rows], None if augment is None else (
        lambda batch, of, random: augment(batch, rows[of], random)
    )


def _sweep(setting: Setting, config: SoftHebbConfig, session: Session, images: ImageSet) -> Sweep:
    """The networks of the run's depth and width, trained by the soft rules on some images."""
    spec = preset(config.preset_data, config.depth, config.width)
    return Sweep(
        setting,
        spec,
        some_images(images, session.seed),
        SWEPT[setting][:: 5 if session.quick else 1],
        seeds=[session.seed],
        device=session.device,
    )


def _precision(config: SoftHebbConfig, session: Session) -> torch.autocast:
    bf16 = config.precision == "bf16"
    # No cache: it would keep serving the bf16 copies of weights that have changed since.
    return torch.autocast(session.device.type, torch.bfloat16, enabled=bf16, cache_enabled=False)


def _quick(
    config: SoftHebbConfig, images: ImageSet, net: SoftHebbNet, seed: int
) -> tuple[SoftHebbConfig, ImageSet]:
    """The same with few images and epochs: a minute on two cores, whatever the network."""
    count = int(min(2000, max(10, QUICK_MACS / net.macs / 2)))
    random = generator(seed, 9)
    train = torch.randperm(len(images.train_labels), generator=random)[:count]
    test = torch.randperm(len(images.test_labels), generator=random)[: count // 2]
    cut = replace(
        images,
        train_images=images.train_images[train],
        train_labels=images.train_labels[train],
        test_images=images.test_images[test],
        test_labels=images.test_labels[test],
        unlabelled_images=None,
        aspect=None if images.aspect is None else images.aspect[train],
        notice=f"smoke run on {len(train)} training and {len(test)} test images",
    )
    epochs = 2 if _augmentation(config, images, net.image_size) else 10
    return replace(config, readout_epochs=min(epochs, config.readout_epochs)), cut


def _result(config: SoftHebbConfig, session: Session, images: ImageSet) -> dict[str, Any]:
    data = {
        "name": images.name,
        "n_train": len(images.train_labels),
        "n_test": len(images.test_labels),
        "source": images.source,
        "sha256": images.sha256,
        "classes": list(images.classes),
        "notice": images.notice,
    }
    settings = {**asdict(config), "seed": session.seed, "quick": session.quick}
    return result(f"softhebb-{_experiment(config)}", PAPER, settings, data, session.device)


def _experiment(config: SoftHebbConfig) -> str:
    family = {"fashion-mnist": "mnist", "imagenette": "imagenet"}
    return family.get(config.preset_data, config.preset_data)


def _radii(net: SoftHebbNet) -> dict[str, float]:
    metrics = {}
    for number, block in enumerate(blocks_of(net), start=1):
        radius = block.conv.radius()
        metrics[f"radius_mean_layer{number}"] = float(radius.mean())
        metrics[f"r1_share_layer{number}"] = float(
            ((radius - 1).abs() < R1_TOLERANCE).float().mean()
        )
    return metrics

"""Deep SoftHebb on images: blocks learn without labels, then a linear readout is trained.

Paper: Journé, Garcia Rodriguez, Guo, Moraitis, *Hebbian Deep Learning Without Feedback*, ICLR 2023.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from plastorch.data import ImageSet
from plastorch.engine.device import autocast, fast_matmul
from plastorch.engine.distributed import check_parts
from plastorch.engine.loop import Loop
from plastorch.engine.streams import stream
from plastorch.experiments.context import Context
from plastorch.experiments.softhebb.analysis import Analyses, some_images
from plastorch.experiments.softhebb.claims import claims
from plastorch.experiments.softhebb.config import SoftHebbConfig
from plastorch.experiments.softhebb.images import (
    EPOCHS_PER_VIEW,
    augmentation,
    changed,
    jitter,
    load,
    some,
    unlabeled_of,
    views_of,
)
from plastorch.hebbian.analysis.sensitivity import SWEPT, SensitivitySweep, Setting
from plastorch.hebbian.backprop import BackpropTraining, classify
from plastorch.hebbian.features import FeatureExtraction, augmented, cached, deviation_of, mean_of
from plastorch.hebbian.folding import folded
from plastorch.hebbian.neighbors import NeighborReadout
from plastorch.hebbian.networks import SoftHebbNet, blocks_of
from plastorch.hebbian.presets import preset
from plastorch.hebbian.readout import ReadoutTraining, accuracy, confusions, scores
from plastorch.hebbian.ridge import FrozenFeatures, RidgeReadout
from plastorch.hebbian.sampling import PatchSampling
from plastorch.hebbian.streams import Stream
from plastorch.hebbian.train import R1_TOLERANCE, HebbianTraining
from plastorch.hebbian.whitened_training import WhitenedTraining
from plastorch.hebbian.wide_training import WideTraining


def measure(config: SoftHebbConfig, context: Context) -> dict[str, Any]:
    """Trains and tests a network; returns the result, and writes it into the run folder."""
    check_parts(batch_size=config.batch_size, readout_batch_size=config.readout_batch_size)
    images = load(config, context)
    if config.validation:
        images = images.validation_split(config.validation, context.seed)
    spec = config.spec()
    channels, side = images.train_images.shape[1:3]
    nets = [
        SoftHebbNet(
            spec, channels, side, len(images.classes), generator=stream(seed, Stream.WEIGHTS)
        )
        for seed in _seeds(config, context)
    ]
    if context.quick:
        config, images = some(config, images, nets, context.seed)
    if images.notice:
        context.tell(images.notice)
    loop = Loop(context.run, nn.ModuleList(nets).to(context.device))
    started = context.start(config, images.description())
    with fast_matmul():
        train = _train_end_to_end if config.rule == "backprop" else _train_locally
        predicted, found = train(config, context, images, nets, loop)
        if config.sweep != "none":
            loop.run(_sweep(config.sweep, config, context, images))
        analyses = Analyses(nets[0], images, context.seed, fields=config.rule != "random")
        loop.recompute(analyses)
    table = confusions(predicted, images.test_labels.cpu(), len(images.classes))
    context.run.write_arrays({"confusion": table} | analyses.arrays)
    metrics = (
        {"test_accuracy": accuracy(predicted, images.test_labels)} | found | _radii(config, nets[0])
    )
    judged = claims(config, images, context.quick, metrics["test_accuracy"])
    return context.finish(started, loop, metrics, judged)


def _seeds(config: SoftHebbConfig, context: Context) -> list[int]:
    """Returns the seed of each network; that of the first one is the run's."""
    others = (stream(context.seed, Stream.NETWORK, n) for n in range(1, config.networks))
    return [context.seed, *(other.initial_seed() for other in others)]


def _train_locally(
    config: SoftHebbConfig, context: Context, images: ImageSet, nets: list[SoftHebbNet], loop: Loop
) -> tuple[Tensor, dict[str, float]]:
    """Trains networks one after the other, and adds their class scores.

    Returns classes of the test images, and figures: those of the first network, but for accuracies
    of all networks together.
    """
    by_network: list[dict[str, Tensor]] = []
    figures: dict[str, float] = {}
    for number, (net, seed) in enumerate(zip(nets, _seeds(config, context), strict=True), start=1):
        loop.suffix = f"-{number}" if number > 1 else ""
        own = replace(context, seed=seed)
        scores_of, found = _train_network(config, own, images, net, loop, others=number == 1)
        by_network.append(scores_of)
        figures |= found
    loop.suffix = ""
    together = {
        name: torch.stack([each[name] for each in by_network]).sum(dim=0).argmax(dim=1).cpu()
        for name in by_network[0]
    }
    accuracies = {name: accuracy(classes, images.test_labels) for name, classes in together.items()}
    if len(nets) > 1:
        first = by_network[0]["test_accuracy"].argmax(dim=1).cpu()
        accuracies["first_network_accuracy"] = accuracy(first, images.test_labels)
    return together["test_accuracy"], accuracies | figures


def _train_network(
    config: SoftHebbConfig,
    context: Context,
    images: ImageSet,
    net: SoftHebbNet,
    loop: Loop,
    *,
    others: bool,
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Trains blocks by their local rule, then the readout.

    Returns class scores of the test images, named by the accuracy that they give, and figures of
    other readouts, if these are asked for.
    """
    augment = augmentation(config, images, net.image_size)
    unlabeled, unlabeled_augment = unlabeled_of(config, context, images, augment)
    if net.wide is not None:
        loop.run(WideTraining(net, unlabeled, config.rule, context.seed))
    before_whitening = None if config.whitening is None else 1
    if config.rule == "sampled":
        loop.run(PatchSampling(net, unlabeled, context.seed, blocks=before_whitening))
    if config.rule != "random" or config.statistics_pass:
        training = HebbianTraining(
            net,
            unlabeled,
            blocks=before_whitening,
            batch_size=config.batch_size,
            epochs=config.unsupervised_epochs,
            mode=config.mode,
            seed=context.seed,
            plastic=config.rule in ("soft", "hard"),
            augment=unlabeled_augment,
        )
        with autocast(config.precision, context.device):
            loop.run(training)
    if config.whitening is not None and len(net.blocks) > 1:
        loop.run(
            WhitenedTraining(
                net,
                unlabeled,
                regularization=config.whitening,
                rule=config.rule,
                seed=context.seed,
            )
        )
    of_test, frozen = _train_readout(config, context, images, net, loop)
    figures = _other_figures(frozen, context, loop) if others else {}
    found = {"test_accuracy": of_test}
    if config.mirrored:
        mirror = FeatureExtraction(net, images.test_images.flip(3))
        with autocast(config.precision, context.device):
            loop.recompute(mirror)
        found["test_accuracy_with_mirror_images"] = of_test + scores(net.readout, mirror.features)
    return found, figures


def _train_readout(
    config: SoftHebbConfig, context: Context, images: ImageSet, net: SoftHebbNet, loop: Loop
) -> tuple[Tensor, FrozenFeatures]:
    """Trains the readout of trained blocks; returns scores of the test images, and features."""
    augment = augmentation(config, images, net.image_size)
    test = FeatureExtraction(net, images.test_images)
    views = images.train_images if augment else views_of(config, images.train_images, context.seed)
    count = len(views) // len(images.train_images)
    kept = torch.float16 if count == 1 else torch.float8_e5m2
    train = FeatureExtraction(net, views, dtype=kept)
    with autocast(config.precision, context.device):
        for extraction in (test,) if augment else (test, train):
            loop.recompute(extraction)
    if augment:
        source = augmented(
            net, images.train_images, augment, autocast(config.precision, context.device)
        )
    else:
        source = cached(train.features, count)
    mean, deviation = _statistics(config, train.features)
    readout = ReadoutTraining(
        net.readout,
        source,
        images.train_labels,
        test.features,
        images.test_labels,
        epochs=config.readout_epochs,
        batch_size=config.readout_batch_size,
        dropout=net.spec.dropout,
        learning_rate=config.readout_learning_rate,
        schedule=config.readout_schedule,
        seed=context.seed,
        mean=mean,
        deviation=deviation,
        renew=_renewal(config, context, train) if config.renewed_views else None,
    )
    loop.run(readout)
    frozen = FrozenFeatures(
        source=_plain(config, context, images, net, None if augment else train.features),
        labels=images.train_labels,
        test_features=test.features,
        test_labels=images.test_labels,
        classes=len(images.classes),
        maps=net.feature_maps,
    )
    return scores(net.readout, test.features), frozen


def _other_figures(frozen: FrozenFeatures, context: Context, loop: Loop) -> dict[str, float]:
    """Returns accuracies of readouts that aren't trained by gradient descent."""
    ridge, neighbors = RidgeReadout(frozen, context.seed), NeighborReadout(frozen)
    for reader in (ridge, neighbors):
        loop.recompute(reader)
    return ridge.figures | neighbors.figures


def _plain(
    config: SoftHebbConfig,
    context: Context,
    images: ImageSet,
    net: SoftHebbNet,
    features: Tensor | None,
) -> Callable[[Tensor], Tensor]:
    """Returns a source of features of training images as they are, computed unless given."""
    if features is not None:
        octets = features.view(torch.uint8)  # torch can't index some of the narrow types
        return lambda rows: octets[rows.to(octets.device)].view(features.dtype)

    frozen = folded(net)

    def source(rows: Tensor) -> Tensor:
        extraction = FeatureExtraction(frozen, images.train_images[rows])
        with autocast(config.precision, context.device):
            while extraction.position < extraction.total:
                extraction.step()
        return extraction.features

    return source


def _statistics(config: SoftHebbConfig, features: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Returns mean and deviation of the training features, where the readout needs them."""
    if not (config.centered or config.standardized):
        return None, None
    mean = mean_of(features)
    return mean, deviation_of(features, mean) if config.standardized else None


def _renewal(
    config: SoftHebbConfig, context: Context, train: FeatureExtraction
) -> Callable[[int], None]:
    """Returns a function that renews views and their features before an epoch, when due."""
    images = train.images[: len(train.images) // 2]
    kept = 1

    def renew(epoch: int) -> None:
        nonlocal kept
        view = 1 + epoch // EPOCHS_PER_VIEW
        if view != kept:
            with autocast(config.precision, context.device):
                train.replace_last(changed(config, images, context.seed, view))
            kept = view

    return renew


def _train_end_to_end(
    config: SoftHebbConfig, context: Context, images: ImageSet, nets: list[SoftHebbNet], loop: Loop
) -> tuple[Tensor, dict[str, float]]:
    """Trains the backprop baseline; returns the classes of the test images."""
    (net,) = nets
    augment = augmentation(config, images, net.image_size)
    if config.preset_data == "mnist":
        augment = jitter
    with autocast(config.precision, context.device):
        training = BackpropTraining(
            net,
            images.train_images,
            images.train_labels,
            images.test_images,
            images.test_labels,
            epochs=config.readout_epochs,
            batch_size=config.readout_batch_size,
            learning_rate=config.readout_learning_rate,
            seed=context.seed,
            augment=augment,
        )
        loop.run(training)
        return classify(net, images.test_images).cpu(), {}


def _sweep(
    setting: Setting, config: SoftHebbConfig, context: Context, images: ImageSet
) -> SensitivitySweep:
    """Returns networks of the run's depth and width, trained by the soft rules on some images."""
    spec = preset(config.preset_data, config.depth, config.width)
    return SensitivitySweep(
        setting,
        spec,
        some_images(images, context.seed),
        values=SWEPT[setting][:: 5 if context.quick else 1],
        seeds=[context.seed],
        device=context.device,
    )


def _radii(config: SoftHebbConfig, net: SoftHebbNet) -> dict[str, float]:
    """Returns how long weights are, but for blocks whose weights hold a whitening matrix."""
    blocks = blocks_of(net)[: None if config.whitening is None else 1]
    layers = {f"layer{n}": block.conv for n, block in enumerate(blocks, start=1)}
    if net.wide is not None:
        layers["wide"] = net.wide.conv
    metrics = {}
    for name, conv in layers.items():
        radius = conv.radius()
        metrics[f"radius_mean_{name}"] = float(radius.mean())
        metrics[f"r1_share_{name}"] = float(((radius - 1).abs() < R1_TOLERANCE).float().mean())
    return metrics

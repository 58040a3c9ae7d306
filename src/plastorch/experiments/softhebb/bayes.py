"""Shallow SoftHebb: Bayesian inference, speed of learning, robustness and interpolation, measured.

Paper: Moraitis et al., *SoftHebb: Bayesian inference in unsupervised Hebbian soft winner-take-all
networks*, Neuromorph. Comput. Eng. 2 (2022) 044017.
"""

from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from plastorch.data import ImageSet, load_images
from plastorch.engine.device import fast_matmul
from plastorch.engine.distributed import check_parts
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Record
from plastorch.experiments.context import Context
from plastorch.experiments.softhebb.bayes_attacks import Job, interpolation, robustness
from plastorch.experiments.softhebb.bayes_claims import accuracy_curve, claims, metrics
from plastorch.experiments.softhebb.bayes_networks import (
    FEATURES,
    BayesConfig,
    BayesNetworks,
)
from plastorch.hebbian.analysis.filters import structure
from plastorch.hebbian.attacks import (
    import_foolbox,
)
from plastorch.hebbian.mixtures import (
    HiddenCauses,
    compare,
    equilibrium_scores,
    learn_causes,
    untrained,
)
from plastorch.hebbian.shallow import (
    OnlineTraining,
    ShallowSoftHebb,
    activations,
    label_assignment_accuracy,
    teacher_clamped_accuracy,
)


def measure(config: BayesConfig, context: Context) -> dict[str, Any]:
    """Runs all parts, and returns the result; writes it and arrays into the run folder."""
    check_parts(batch_size=config.batch_size)
    import_foolbox()  # the attacks come last: a missing library should not cost the training
    images = load_images(config.dataset, context.data)
    if config.validation:
        images = images.validation_split(config.validation, context.seed)
    if context.quick:
        config, images = _quick(config, images, context.seed)
    config.check_neurons(len(images.train_images))
    if images.notice:
        context.tell(images.notice)
    images = _on_device(images, context.device)
    nets = BayesNetworks(config, images, context.seed).to(context.device)
    loop = Loop(context.run, nets)
    started = context.start(config, images.description())
    with fast_matmul():
        loop.run(Jobs("theory", _theory(config, context.seed)))
        _train(config, context.seed, images, nets, loop)
        loop.run(Jobs("readouts", _readouts(config, nets, images, context.seed)))
        loop.run(Jobs("robustness", robustness(config, nets, images, context.seed)))
        arrays: dict[str, Tensor] = {}
        loop.recompute(Jobs("interpolation", interpolation(config, nets, images, arrays), False))
    records = context.run.records()
    context.run.write_arrays(arrays | _arrays(config, nets, images, records))
    measured = metrics(records)
    whole = not (context.quick or images.notice)
    found = claims(measured, whole and config.ordinary_learning, whole and config.ordinary)
    return context.finish(started, loop, measured, found)


def _theory(config: BayesConfig, seed: int) -> list[Job]:
    """Returns jobs that learn worlds of known hidden causes and compare with the truth."""

    def world(number: int) -> list[Record]:
        causes = HiddenCauses.draw(8, FEATURES, 12.0, number)
        before = compare(untrained(causes, 0.1, number), causes)
        after = compare(learn_causes(causes, config.samples, seed=number), causes)
        scores = equilibrium_scores(causes, seed=number)
        return [
            {
                "found": int(after.found),
                "kl_before": before.kl,
                "kl": after.kl,
                "cross_entropy_before": before.cross_entropy - before.entropy,
                "cross_entropy": after.cross_entropy - after.entropy,
                "posterior_distance": after.posterior_distance,
                "alignment": float(after.alignment.min()),
                "prior_error": float(after.prior_error.square().mean().sqrt()),
                "equilibrium_score": float(scores.square().mean().sqrt()),
            }
        ]

    return [partial(world, 1000 * seed + i) for i in range(config.mixtures)]


def _train(
    config: BayesConfig, seed: int, images: ImageSet, nets: BayesNetworks, loop: Loop
) -> None:
    """Trains for one pass; the hidden layer again from its start under the readout; many passes."""

    def online(
        net: nn.Module,
        name: str,
        epochs: int,
        adam_rate: float,
        *,
        learn_hidden: bool = True,
        learn_readout: bool = True,
    ) -> None:
        training = OnlineTraining(
            net,
            images.train_images,
            images.train_labels,
            images.test_images,
            images.test_labels,
            batch_size=config.batch_size,
            epochs=epochs,
            hebbian_rate=config.hebbian_rate,
            adam_rate=adam_rate,
            learn_hidden=learn_hidden,
            learn_readout=learn_readout,
            seed=seed,
            name=name,
        )
        loop.run(training)

    for kind in config.networks:
        once, again, rate = nets.once[kind], nets.again[kind], config.adam_rate(kind)
        plastic = kind != "sampled"
        online(once, f"once-{kind}", 1, rate, learn_hidden=plastic)
        if plastic and not config.validation:
            readout = cast(nn.Linear, once.readout)
            cast(nn.Linear, again.readout).load_state_dict(readout.state_dict())
            online(again, f"again-{kind}", 1, rate, learn_readout=False)
    for kind in config.networks:
        if config.epochs > 1:
            net, rate = nets.long[kind], config.adam_rate(kind)
            online(net, f"long-{kind}", config.epochs, rate, learn_hidden=kind != "sampled")
        else:
            nets.long[kind].load_state_dict(nets.once[kind].state_dict())
    if config.attacked_images:
        online(nets.judge, "judge", 2, config.backprop_rate)
    nets.requires_grad_(False)


def _readouts(config: BayesConfig, nets: BayesNetworks, images: ImageSet, seed: int) -> list[Job]:
    """Trains readouts without gradients: label assignment, and a teacher-clamped output layer."""

    def read_out(which: str, kind: str) -> list[Record]:
        net = cast(ShallowSoftHebb, nets.get_submodule(f"{which}.{kind}"))
        train, test = activations(net, images.train_images), activations(net, images.test_images)
        labeled = train, images.train_labels, test, images.test_labels, len(images.classes)
        assigned = label_assignment_accuracy(*labeled)
        taught = teacher_clamped_accuracy(*labeled, seed=seed)
        return [
            {"network": f"{which}-{kind}", "label_assignment": assigned, "teacher_clamped": taught}
        ]

    kinds = [kind for kind in config.networks if kind in ("soft", "hard", "sampled")]
    trained = ("once", "long") if config.epochs > 1 else ("once",)
    return [partial(read_out, which, kind) for which in trained for kind in kinds]


def _arrays(
    config: BayesConfig, nets: BayesNetworks, images: ImageSet, records: list[Record]
) -> dict[str, Tensor]:
    """Returns arrays for the report: the soft network's weights as images, accuracy by strength."""
    arrays = {}
    if "soft" in config.networks:
        net = cast(ShallowSoftHebb, nets.long["soft"])
        weight = net.hidden.weight.detach().view(-1, *images.train_images.shape[1:])
        order = structure(weight).argsort(descending=True, stable=True)
        arrays["filters"] = weight[order].cpu()
    rows = [record for record in records if record["phase"] == "robustness"]
    for attack, kind in dict.fromkeys((str(row["attack"]), str(row["network"])) for row in rows):
        curve = accuracy_curve(rows, attack, kind)
        arrays[f"accuracy_{attack}_{kind}"] = torch.tensor([list(curve), list(curve.values())])
    return arrays


def _on_device(images: ImageSet, device: torch.device) -> ImageSet:
    return replace(
        images,
        train_images=images.train_images.to(device),
        train_labels=images.train_labels.to(device),
        test_images=images.test_images.to(device),
        test_labels=images.test_labels.to(device),
    )


def _quick(config: BayesConfig, images: ImageSet, seed: int) -> tuple[BayesConfig, ImageSet]:
    """Reduces settings to few neurons, images and attacks: less than a minute on two cores."""
    small = replace(
        config,
        neurons=min(200, config.neurons),
        epochs=min(2, config.epochs),
        mixtures=min(2, config.mixtures),
        samples=min(30_000, config.samples),
        attacked_images=min(100, config.attacked_images),
        attack_steps=min(10, config.attack_steps),
        restarts=1,
    )
    return small, images.few(5000, 1000, seed)

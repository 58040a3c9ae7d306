"""Training of a comparison's arms, and measurement of their encoders."""

from functools import partial
from statistics import fmean

import torch
from torch import nn

from plastorch.efference import Learner, Pretraining, extract
from plastorch.efference.encoders import Encoder
from plastorch.efference.linear_probe import LinearProbe, probe_layer
from plastorch.engine.device import generator
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Record
from plastorch.experiments.context import Context
from plastorch.experiments.stec.config import Arm, StecConfig
from plastorch.experiments.stec.measure import controlled, linear_accuracy, measured
from plastorch.experiments.stec.study import Study


def new_learner(config: StecConfig, arm: Arm, study: Study, seed: int) -> Learner:
    """Returns an arm's learner; parts that arms of a seed share start with the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(seed, 0, arm.seed).initial_seed())
        encoder = study.new_encoder()
        method = config.method(arm, encoder, study.sizes)
        return Learner(method, encoder.features, study.classes)


def run_study(config: StecConfig, study: Study, context: Context) -> Loop:
    """Trains all arms, seed by seed, and logs measurements of their encoders.

    Phases "stec-measure", "stec-control" and "stec-transfer" log a record per arm, the first one
    one per exam too.

    Args:
        config: settings of the arms and their training.
        study: data to learn from.
        context: context that keeps the run.
    """
    seed, arms = context.seed, config.arms()
    learners = {arm.name: new_learner(config, arm, study, seed) for arm in arms}
    layers = {
        f"{arm.name}-{name}": probe_layer(
            learners[arm.name].probe.in_features, study.classes, generator(seed, 7, arm.seed)
        )
        for arm in arms
        for name in (study.exams if study.prober else ())
    }
    nets = nn.ModuleDict({**learners, **layers}).to(context.device)
    loop = Loop(context.run, nets)
    measures, controls, transfers = [], [], []
    for arm in arms:
        learner = learners[arm.name]
        loop.run(_pretraining(config, arm, learner, study, seed))
        mine = {name: layers.get(f"{arm.name}-{name}", learner.probe) for name in study.exams}
        for name, layer in mine.items():
            if study.prober is not None:
                loop.run(_probing(arm, learner, study, name, layer, seed))
        measures.append(partial(measured, arm, learner, study, mine, seed))
        if arm.role in ("baseline", "stec"):
            controls.append(partial(controlled, config, arm, learner, study, seed))
            transfers.append(partial(_transferred, arm, learner, study, seed))
    loop.run(Jobs("stec-measure", measures))
    if controls:
        loop.run(Jobs("stec-control", controls))
    if controls and study.transfer is not None:
        loop.run(Jobs("stec-transfer", transfers))
    return loop


def _pretraining(
    config: StecConfig, arm: Arm, learner: Learner, study: Study, seed: int
) -> Pretraining:
    """Returns the pre-training; arms of a seed have the same path, so the same order and views."""

    def validate(of: Learner) -> Record:
        right = []
        for exam in study.exams.values():
            with study.autocast():
                features = extract(of.method.encoder, exam.test_images, study.prepare)
            right.append(linear_accuracy(of.probe, features, exam.test_labels))
        return {"test_accuracy": fmean(right)}

    training = config.training(len(study.sources.labels), config.epochs, arm.role == "shuffled")
    return Pretraining(
        arm.name,
        learner,
        study.sources,
        study.views,
        training,
        study.targets,
        study.factors,
        (seed, 1, arm.seed),
        validate,
    )


def _probing(
    arm: Arm, learner: Learner, study: Study, exam: str, layer: nn.Linear, seed: int
) -> LinearProbe:
    encoder = learner.method.encoder
    assert study.prober is not None and isinstance(encoder, Encoder)
    phase = study.prober(encoder, layer, study.exams[exam], (seed, 8, arm.seed))
    phase.name = f"probe-{arm.name}-{exam}"
    return phase


def _transferred(arm: Arm, learner: Learner, study: Study, seed: int) -> list[Record]:
    assert study.transfer is not None
    encoder = learner.method.encoder
    assert isinstance(encoder, Encoder)
    found = study.transfer(arm.seed)(encoder)
    return [{"arm": arm.kind, "seed": arm.seed, **found}]

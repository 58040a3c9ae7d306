"""Training of a comparison's arms, and measurement of their encoders."""

from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any

from torch import nn

from plastorch.efference import Learner, Pretraining, extract
from plastorch.efference.encoders import Encoder
from plastorch.efference.linear_probe import LinearProbe, probe_layer
from plastorch.efference.probes import share_right
from plastorch.efference.streams import Stream
from plastorch.engine.device import fast_matmul
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Record
from plastorch.engine.streams import seeded, stream
from plastorch.experiments.context import Context
from plastorch.experiments.stec.arms import Arm
from plastorch.experiments.stec.claims import claims
from plastorch.experiments.stec.config import StecConfig
from plastorch.experiments.stec.figures import Figures
from plastorch.experiments.stec.measure import control_accuracies, measured
from plastorch.experiments.stec.study import Study


def run_study(
    config: StecConfig, study: Study, context: Context, data: dict[str, Any]
) -> dict[str, Any]:
    """Returns the result of all arms, trained seed by seed and measured, with the claims judged.

    Phases "stec-measure", "stec-control" and "stec-transfer" log a record per arm, the first one
    one per exam too. Data with a notice are not those of the paper: no claim is judged.
    """
    started = context.start(config, data)
    with fast_matmul():
        loop = _trained(config, study, context)
    figures = Figures(context.run.records())
    evidence = config.ordinary and not data.get("notice")
    known = claims(figures, evidence, config.published)
    return context.finish(started, loop, figures.summary(), known)


def new_learner(config: StecConfig, arm: Arm, study: Study, seed: int) -> Learner:
    """Returns an arm's learner; parts that arms of a seed share start with the same weights."""
    with seeded(stream(seed, Stream.WEIGHTS, arm.seed).initial_seed()):
        encoder = study.new_encoder()
        method = config.method(arm, encoder, study.copies(arm.role)[1])
        return Learner(method, encoder.features, study.classes)


def _trained(config: StecConfig, study: Study, context: Context) -> Loop:
    seed, arms = context.seed, config.arms()
    learners = {arm.name: new_learner(config, arm, study, seed) for arm in arms}
    features = learners[arms[0].name].method.encoder.features
    assert isinstance(features, int)
    layers = {
        f"{arm.name}-{name}": probe_layer(
            features,
            study.classes,
            stream(seed, Stream.PROBE_WEIGHTS, arm.seed),
        )
        for arm in arms
        for name in (study.exams if study.augment else ())
    }
    nets = nn.ModuleDict({**learners, **layers}).to(context.device)
    loop = Loop(context.run, nets)
    measures, controls, transfers = [], [], []
    for arm in arms:
        learner = learners[arm.name]
        loop.run(_pretraining(config, arm, learner, study, seed))
        assert learner.probe is not None
        mine = {name: layers.get(f"{arm.name}-{name}", learner.probe) for name in study.exams}
        if study.augment:
            for name, layer in mine.items():
                loop.run(_probing(arm, learner.method.encoder, study, name, layer=layer, seed=seed))
        measures.append(partial(measured, arm, learner, study, layers=mine, seed=seed))
        if arm.role not in ("shuffled", "swept"):
            controls.append(partial(control_accuracies, config, arm, learner, study, seed=seed))
            transfers.append(partial(_transferred, arm, learner, study))
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
        assert of.probe is not None
        right = []
        for exam in study.exams.values():
            with study.autocast():
                features = extract(of.method.encoder, exam.test_images, study.prepare)
            right.append(share_right(of.probe(features), exam.test_labels))
        return {"test_accuracy": fmean(right)}

    training = config.training(len(study.sources.images), config.epochs, arm.role == "shuffled")
    training = replace(training, reverse=training.reverse and arm.role != "essl")
    return Pretraining(
        arm.name,
        learner,
        study.sources,
        study.views,
        training,
        copies=study.copies(arm.role)[0],
        path=(seed, Stream.PRETRAINING, arm.seed),
        validate=validate,
    )


def _probing(
    arm: Arm, encoder: nn.Module, study: Study, exam: str, *, layer: nn.Linear, seed: int
) -> LinearProbe:
    assert study.augment is not None
    return LinearProbe(
        encoder,
        layer,
        study.exams[exam],
        study.augment,
        epochs=study.probe_epochs,
        bfloat16=study.bfloat16,
        path=(seed, Stream.PROBE_TRAINING, arm.seed),
        name=f"probe-{arm.name}-{exam}",
    )


def _transferred(arm: Arm, learner: Learner, study: Study) -> list[Record]:
    encoder = learner.method.encoder
    assert study.transfer is not None and isinstance(encoder, Encoder)
    found = study.transfer(arm.seed)(encoder)
    return [{"arm": arm.kind, "seed": arm.seed, **found}]

"""Evaluation of a comparison's encoders, and of what they reveal about actions."""

from collections.abc import Mapping
from statistics import fmean

import torch
from torch import Tensor, nn

from plastorch.efference import (
    InverseModel,
    Learner,
    Method,
    Pretraining,
    SimCLR,
    Weights,
    extract,
    geometry,
    knn_accuracy,
    logistic_accuracy,
    ridge_accuracy,
)
from plastorch.efference.encoders import Encoder, Frozen
from plastorch.efference.probes import share_right
from plastorch.efference.streams import Stream
from plastorch.engine.run import Record
from plastorch.engine.streams import seeded, stream
from plastorch.experiments.stec.arms import Arm
from plastorch.experiments.stec.config import StecConfig
from plastorch.experiments.stec.study import Study
from plastorch.learning.modes import evaluating
from plastorch.learning.phases import run_phase

NEIGHBORS = 20
FEW_LABELS, DRAWS = 10, 5
"""Number of labels of each class from which a logistic regression learns, and how often."""
CONTROL = 9
"""Divisor of the number of epochs for which a new inverse model learns on a frozen encoder."""


def measured(
    arm: Arm,
    learner: Learner,
    study: Study,
    *,
    layers: Mapping[str, nn.Linear],
    seed: int,
) -> list[Record]:
    """Measures probes and geometry of an arm's features per exam, and its inverse model.

    Linear ``layers``, by exam, have learned classes from the features.
    """
    encoder, prepare = learner.method.encoder, study.prepare
    common: Record = {"arm": arm.kind, "weight": arm.weight, "seed": arm.seed}
    if isinstance(learner.method.inverse, InverseModel):
        common |= action_accuracies(learner.method, study, (seed, Stream.TEST_VIEWS, arm.seed))
    records = []
    for name, exam in study.exams.items():
        with study.autocast():
            known, new = (extract(encoder, of, prepare) for of in (exam.images, exam.test_images))
        shape = geometry(new, exam.test_labels)
        given = known, exam.labels, new, exam.test_labels
        few = few_labels(exam.labels, (seed, Stream.FEW_LABELS, arm.seed))
        record: Record = {
            "exam": name,
            "accuracy": share_right(layers[name](new), exam.test_labels),
            "knn_accuracy": knn_accuracy(*given, k=min(NEIGHBORS, len(known))),
            "ridge_accuracy": ridge_accuracy(*given),
            "logistic_accuracy": logistic_accuracy(*given),
            "few_labels_accuracy": fmean(
                logistic_accuracy(known[rows], exam.labels[rows], *given[2:]) for rows in few
            ),
        }
        records.append(common | record | dict(zip(shape._fields, shape, strict=True)))
    return records


def control_accuracies(
    config: StecConfig, arm: Arm, learner: Learner, study: Study, *, seed: int
) -> list[Record]:
    """Measures a new inverse model after some epochs on the frozen encoder of an arm."""
    encoder = learner.method.encoder
    assert isinstance(encoder, Encoder)
    with seeded(stream(seed, Stream.CONTROL_WEIGHTS, arm.seed).initial_seed()):
        weights = Weights(0, 1, factors=config.factor_weights)
        method = SimCLR(Frozen(encoder), encoder.features, study.bins.sizes, weights)
        probed = Learner(method, encoder.features, study.classes).to(study.sources.images.device)
    phase = Pretraining(
        "control",
        probed,
        study.sources,
        study.views,
        config.training(len(study.sources.images), max(1, config.epochs // CONTROL)),
        copies=study.bins,
        path=(seed, Stream.CONTROL_TRAINING, arm.seed),
    )
    run_phase(phase)
    found = action_accuracies(method, study, (seed, Stream.TEST_VIEWS, arm.seed))
    return [{"arm": arm.kind, "seed": arm.seed, **found}]


def few_labels(labels: Tensor, path: tuple[int, ...]) -> list[Tensor]:
    """Returns rows of a few labels of each class, at random, a few times."""
    random, of, draws = stream(*path), labels.cpu(), []
    kinds = torch.unique(of)
    for _ in range(DRAWS):
        order = torch.randperm(len(of), generator=random)
        rows = [order[of[order] == kind][:FEW_LABELS] for kind in kinds]
        draws.append(torch.cat(rows).to(labels.device))
    return draws


def action_accuracies(method: Method, study: Study, path: tuple[int, ...]) -> Record:
    """Returns how often the inverse model finds each learned factor's class between test views.

    ``found_F`` are the shares by factor, ``majority_F`` those of its most frequent class; ``path``
    is the place of the views in random numbers.
    """
    wanted, answers = [], []
    with evaluating(method), torch.no_grad():
        for number, images in enumerate(torch.split(study.tested, 500)):
            random = stream(*path, number)
            a, b = (study.views.sample(len(images), random, images.device) for _ in range(2))
            wanted.append(study.bins.targets(a, b))
            with study.autocast():
                answers.append(method.predicted(*(study.views.apply(images, of) for of in (a, b))))
    record: Record = {}
    factors = study.bins.factors
    columns = zip(factors, torch.cat(wanted).T, torch.cat(answers).T, strict=True)
    weights = method.weights.factors or (1.0,) * len(factors)
    for weight, (name, targets, found) in zip(weights, columns, strict=True):
        known = targets >= 0
        if weight and known.any():
            record[f"found_{name}"] = share_true(found[known] == targets[known])
            record[f"majority_{name}"] = share_true(targets[known] == targets[known].mode().values)
    return record


def share_true(right: Tensor) -> float:
    """Returns the share of True."""
    return float(right.double().mean())

"""Evaluation of a comparison's encoders, and of what they reveal about actions."""

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn

from plastorch.efference import (
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
from plastorch.efference.encoders import Encoder
from plastorch.efference.probes import share_right
from plastorch.efference.streams import Stream
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.experiments.stec.config import Arm, StecConfig
from plastorch.experiments.stec.study import Study
from plastorch.learning.phases import run_phase

NEIGHBORS = 20
CONTROL = 9
"""Divisor of the number of epochs for which a new inverse model learns on a frozen encoder."""


class Frozen(nn.Module):
    """A frozen copy of an encoder, in evaluation mode.

    Args:
        encoder: encoder to copy.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = deepcopy(encoder).requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> "Frozen":
        """Keeps evaluation mode: batch statistics would change the normalization."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        """Returns features [B, D]."""
        found: Tensor = self.encoder(x)
        return found


def measured(
    arm: Arm,
    learner: Learner,
    study: Study,
    *,
    layers: Mapping[str, nn.Linear],
    seed: int,
) -> list[Record]:
    """Measures probes and geometry of an arm's features per exam, and its inverse model.

    Args:
        arm: arm of the comparison.
        learner: learner of that arm.
        study: study with the exams.
        layers: linear layers that have learned classes from the features, by exam.
        seed: random seed of the run.
    """
    encoder, prepare = learner.method.encoder, study.prepare
    common: Record = {"arm": arm.kind, "weight": arm.weight, "seed": arm.seed}
    if learner.method.inverse is not None:
        common |= told(learner.method, study, (seed, Stream.TEST_VIEWS, arm.seed))
    records = []
    for name, exam in study.exams.items():
        with study.autocast():
            known, new = (extract(encoder, of, prepare) for of in (exam.images, exam.test_images))
        shape = geometry(new, exam.test_labels)
        given = known, exam.labels, new, exam.test_labels
        record: Record = {
            "exam": name,
            "accuracy": share_right(layers[name](new), exam.test_labels),
            "knn_accuracy": knn_accuracy(*given, k=min(NEIGHBORS, len(known))),
            "ridge_accuracy": ridge_accuracy(*given),
            "logistic_accuracy": logistic_accuracy(*given),
        }
        records.append(common | record | dict(zip(shape._fields, shape, strict=True)))
    return records


def controlled(
    config: StecConfig, arm: Arm, learner: Learner, study: Study, *, seed: int
) -> list[Record]:
    """Measures a new inverse model after some epochs on the frozen encoder of an arm."""
    encoder = learner.method.encoder
    assert isinstance(encoder, Encoder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(seed, Stream.CONTROL_WEIGHTS, arm.seed).initial_seed())
        weights = Weights(0, 1, factors=config.factor_weights)
        method = SimCLR(Frozen(encoder), encoder.features, study.sizes, weights)
        probed = Learner(method, encoder.features, study.classes).to(study.sources.images.device)
    phase = Pretraining(
        "control",
        probed,
        study.sources,
        study.views,
        config.training(len(study.sources.labels), max(1, config.epochs // CONTROL)),
        copies=study.bins,
        path=(seed, Stream.CONTROL_TRAINING, arm.seed),
    )
    run_phase(phase)
    found = told(method, study, (seed, Stream.TEST_VIEWS, arm.seed))
    return [{"arm": arm.kind, "seed": arm.seed, **found}]


def told(method: Method, study: Study, path: tuple[int, ...]) -> Record:
    """Measures how often the inverse model finds each factor's class between test views.

    Args:
        method: method with an inverse model.
        study: study whose test images are seen.
        path: random seed of the views, and their place among others of that seed.

    Returns:
        Shares by factor: ``found_F``, and ``majority_F`` of the most frequent class; of factors
        that have targets and were learned.
    """
    assert method.inverse is not None
    hits, pairs = torch.zeros(2, len(study.sizes), dtype=torch.float64)
    counts = [torch.zeros(size, dtype=torch.int64) for size in study.sizes]
    training = method.training
    method.eval()
    for number, images in enumerate(torch.split(study.tested, 500)):
        random = stream(*path, number)
        a, b = (study.views.sample(len(images), random, images.device) for _ in range(2))
        wanted = study.bins.targets(a, b).cpu()
        with torch.no_grad(), study.autocast():
            features = [method.encoder(study.views.apply(images, of)) for of in (a, b)]
            found = method.inverse(*features)
        answers = torch.stack([logits.argmax(dim=1) for logits in found], dim=1).cpu()
        hits += (answers == wanted).sum(dim=0)
        pairs += (wanted >= 0).sum(dim=0)
        for k, count in enumerate(counts):
            of_factor = wanted[:, k]
            count += torch.bincount(of_factor[of_factor >= 0], minlength=len(count))
    method.train(training)
    record: Record = {}
    learned = method.weights.factors or (1.0,) * len(pairs)
    for k, name in enumerate(study.bins.factors):
        if pairs[k] and learned[k]:
            record[f"found_{name}"] = float(hits[k] / pairs[k])
            record[f"majority_{name}"] = float(counts[k].max() / pairs[k])
    return record

"""Training of an estimator's networks on folds, and the choice of their thresholds."""

import os
from collections.abc import Sequence
from numbers import Integral
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from joblib import effective_n_jobs
from joblib.parallel import get_active_backend
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.parallel import Parallel, delayed
from torch import Tensor, nn

from plastorch.engine.device import denormals_flushed, keep_freed_memory, select_device
from plastorch.engine.errors import InputError, check_counts, check_one_of, check_positive
from plastorch.engine.estimators import as_input_error
from plastorch.engine.run import Record
from plastorch.engine.streams import seeded, stream
from plastorch.learning.phases import EpochOrder, run_phase
from plastorch.rank.committee import Committee
from plastorch.rank.cores import CORES, make_coder
from plastorch.rank.criterion import answer, confidence, mean_over
from plastorch.rank.model import RankCoder
from plastorch.rank.objectives import Batch, Objective, losses
from plastorch.rank.series import Missing, Series
from plastorch.rank.streams import FitStream
from plastorch.rank.thresholds import (
    answer_times,
    check_between,
    constant_threshold,
    costs,
    thresholds_per_step,
)
from plastorch.rank.train import RankSettings, RankTraining

MAX_NORM = 1.0
WEIGHT_DECAY = 0.01
PARTS, LEAST, MOST = 50, 16, 256
"""Approximate number of updates per pass, and smallest and largest batch, if no size is given."""
AT_ONCE = 256
"""Number of series that are read at the same time."""
HELD_OUT = 5
"""Number of series of which one is held out if there is a single network."""


class Fitting(NamedTuple):
    """Series and labels that an estimator learns from."""

    series: Series
    """Series in standard units."""
    labels: Tensor
    """Numbers of the classes, int64 [N]."""
    weights: Tensor | None
    """Weights of the series [N]; equal if None."""
    classes: int
    """Number of classes."""
    seed: int
    """Random seed."""

    def batch(self, rows: Tensor) -> Batch:
        """Returns some of the series with their labels."""
        x, lengths = self.series.some(rows)
        weights = None if self.weights is None else self.weights[rows]
        return Batch(x, self.labels[rows], lengths, weights)


class HeldOut(NamedTuple):
    """Outputs of networks for series that they didn't learn from."""

    confidence: NDArray[np.float64]
    """Confidence after each step [N, T]."""
    right: NDArray[np.bool_]
    """Whether the most probable class is right after each step [N, T]."""
    lengths: NDArray[np.int64]
    """Number of steps of each series [N]."""

    @classmethod
    def joined(cls, parts: Sequence["HeldOut"]) -> "HeldOut":
        """Returns the outputs of several networks, or for several batches, together."""
        return cls(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def thresholds(self, kind: str, alpha: float) -> tuple[float | Tensor, float]:
        """Returns the best threshold, or thresholds if "per-step", and the price at it."""
        sure, right, lengths = self
        choose = constant_threshold if kind == "constant" else thresholds_per_step
        chosen = choose(sure, right, lengths, alpha)
        time = answer_times(sure, chosen, lengths)
        price = costs(right[np.arange(len(time)), time - 1], time, lengths, alpha).mean()
        limit = _single(np.asarray(chosen))
        return limit.item() if kind == "constant" else torch.from_numpy(limit), float(price)


def _single(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rounds down to single precision: a threshold rounded up to 1 could not be crossed."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(0)), near)


def check_arguments(
    *, core: Any, batch_size: Any, device: str = "cpu", n_jobs: Any = None, **others: Any
) -> None:
    """Raises InputError unless an estimator's arguments, except class_weight and random_state, are
    usable."""
    counts = {name: others[name] for name in ("hidden_size", "folds", "epochs", "patience")}
    check_counts(**counts, batch_size=1 if batch_size is None else batch_size)
    if n_jobs is not None and not (isinstance(n_jobs, Integral) and n_jobs):
        raise InputError(f"n_jobs is {n_jobs!r}; expected a whole number, not 0, or None")
    check_positive(learning_rate=others["learning_rate"])
    check_between(alpha=others["alpha"], training_threshold=others["training_threshold"])
    check_one_of(get_args(Objective), objective=others["objective"])
    check_one_of(("constant", "per-step"), thresholds=others["thresholds"])
    check_one_of(get_args(Missing), missing=others["missing"])
    if not callable(core):
        check_one_of(CORES, core=core)
    select_device(device)


def class_weights(class_weight: Any, labels: NDArray[Any]) -> Tensor | None:
    """Returns the weight of each series [N], float32, or None if all are equal.

    Raises:
        InputError: a weight is negative or not finite.
    """
    if class_weight is None:
        return None
    with as_input_error("class_weight"):
        weights = torch.from_numpy(compute_sample_weight(class_weight, labels)).float()
    if not bool(((weights >= 0) & weights.isfinite()).all()):
        raise InputError(f"class_weight is {class_weight}; expected finite numbers, 0 or more")
    return weights


def train(model: Any, fitting: Fitting) -> tuple[RankCoder, HeldOut]:
    """Returns the networks of an estimator, and their outputs for series that were held out."""
    fold = folds(fitting.labels, model.folds, fitting.seed)
    backend, _ = get_active_backend()
    # threads share torch's generator, which each network seeds
    jobs = 1 if getattr(backend, "supports_sharedmem", False) else model.n_jobs
    threads = max(1, torch.get_num_threads() // effective_n_jobs(jobs))
    one = delayed(_by_worker)
    found = Parallel(n_jobs=jobs)(
        one(model, fitting, fold == number, number, asking=os.getpid(), threads=threads)
        for number in range(model.folds)
    )
    networks, readings = map(list, zip(*found, strict=True))
    return together(networks), HeldOut.joined(readings)


def together(networks: list[RankCoder]) -> RankCoder:
    """Returns networks that answer by the geometric mean of their probabilities."""
    return RankCoder(Committee(networks), nn.Identity(), chunk=networks[0].chunk).eval()


def folds(labels: Tensor, count: int, seed: int) -> Tensor:
    """Returns the fold of each series, from 0, each class spread evenly.

    A single fold is a fifth of the series; the others are in none (-1). A class's only series is in
    none either.
    """
    random = stream(seed, FitStream.FOLDS)
    parts = count if count > 1 else HELD_OUT
    fold, place = torch.empty_like(labels), 0
    for label in range(int(labels.max()) + 1):
        rows = (labels == label).nonzero()[:, 0]
        order = rows[torch.randperm(len(rows), generator=random)]
        fold[order] = (torch.arange(len(rows)) + place) % parts
        place += len(rows)
        if len(rows) == 1:
            fold[rows] = -1
    return fold if count > 1 else torch.where(fold == 0, 0, -1)


def _by_worker(*of_fold: Any, asking: int, threads: int) -> tuple[RankCoder, HeldOut]:
    """Returns what :func:`_of_fold` does.

    A process other than ``asking``, the one that started it, keeps its freed memory, and uses
    ``threads`` threads: joblib lets it use all of them where OMP_NUM_THREADS is set.
    """
    if os.getpid() != asking:
        keep_freed_memory()
        torch.set_num_threads(threads)
    return _of_fold(*of_fold)


def _of_fold(model: Any, fitting: Fitting, fold: Tensor, number: int) -> tuple[RankCoder, HeldOut]:
    """Returns a network, and its outputs for the series of its fold."""
    rows, held_out = (~fold).nonzero()[:, 0], fold.nonzero()[:, 0]
    held_out = held_out if len(held_out) else rows
    with denormals_flushed():
        device = select_device(model.device)
        unseen = [fitting.batch(some).to(device) for some in torch.split(held_out, AT_ONCE)]
        coder = _trained(model, fitting, rows, unseen, number)
        readings = [_read(coder, batch, len(fitting.series.values)) for batch in unseen]
        return coder, HeldOut.joined(readings)


def _trained(
    model: Any, fitting: Fitting, rows: Tensor, unseen: list[Batch], number: int
) -> RankCoder:
    """Returns a network that learned from some rows, stopped by its loss on others."""
    device, path = select_device(model.device), (fitting.seed, FitStream.ORDER, number)
    sizes = fitting.series.values.shape[2], int(model.hidden_size), fitting.classes
    with seeded(stream(fitting.seed, FitStream.WEIGHTS, number).initial_seed()):
        coder = make_coder(model.core, sizes, len(fitting.series.values), model.training_threshold)
    coder.to(device)
    size = int(model.batch_size or min(max(len(fitting.labels) // PARTS, LEAST), MOST))
    order = EpochOrder(len(rows), min(size, len(rows)), *path)

    @torch.no_grad()
    def validate(network: RankCoder) -> Record:
        found = [losses(network, part, model.objective, model.alpha)[0] for part in unseen]
        weights = torch.tensor([part.weight for part in unseen])
        return {"validation_loss": float(mean_over(torch.stack(found).cpu(), weights))}

    training = RankSettings(
        int(model.epochs) * order.per_epoch,
        model.objective,
        order.per_epoch,
        model.learning_rate,
        max_norm=MAX_NORM,
        best_from=0.0,
        patience=int(model.patience),
        alpha=model.alpha,
        weight_decay=WEIGHT_DECAY,
    )
    phase = RankTraining(
        f"fold {number}",
        coder,
        lambda batch: fitting.batch(rows[order(batch)]).to(device),
        training,
        path=(fitting.seed, FitStream.DROPOUT, number),
        validate=validate,
        score=lambda record: -float(record["validation_loss"]),
    )
    run_phase(phase)
    return coder.eval()


@torch.no_grad()
def _read(coder: RankCoder, batch: Batch, steps: int) -> HeldOut:
    """Returns confidence and correctness [N, steps] after each step."""
    x, labels, lengths, _ = batch
    assert lengths is not None
    logits = coder.all_steps(x, lengths)
    sure, right = confidence(logits).double().T, (answer(logits) == labels).T
    room = (0, steps - len(x))
    return HeldOut(
        nn.functional.pad(sure, room).cpu().numpy(),
        nn.functional.pad(right, room).cpu().numpy(),
        lengths.cpu().numpy(),
    )

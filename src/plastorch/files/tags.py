"""Several tags per record: each is a question, with an output neuron for yes and one for no.

A tag's log-odds are how much nearer the target of its yes is than that of its no. They are divided
by one temperature for all tags (:mod:`plastorch.files.calibration`). A tag is given if its
probability is above its own threshold, the one with the highest F1 on records that were not learned
from: Lipton, Elkan, Narayanaswamy, *Optimal thresholding of classifiers to maximize F1 measure*,
ECML 2014.
"""

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from plastorch.engine.errors import InputError
from plastorch.files.arrays import NO_TEXT
from plastorch.files.calibration import Calibration, best_temperature, quantiles
from plastorch.files.encode import CorrelativeEncoder
from plastorch.files.predict import answered, driving_keys
from plastorch.spiking.patterns.network import PatternNetwork
from plastorch.spiking.patterns.rule import Answer, Response
from plastorch.spiking.patterns.training import yes_and_no

FEWEST = 5
"""Smallest number of records with a tag, and without it, from which its threshold is chosen."""


class Tagging(NamedTuple):
    """How tags are decided from their probabilities, and written."""

    thresholds: tuple[float, ...]
    """Probability from which each tag is given, in the order of the tags."""
    separator: str
    """Text between the tags of a record."""


class TagScores(NamedTuple):
    """How well each tag is predicted [T]; NaN where the divisor is 0."""

    records: NDArray[np.int64]
    """Number of records that have the tag."""
    precision: NDArray[np.float64]
    """Share of records given the tag that have it."""
    recall: NDArray[np.float64]
    """Share of records with the tag that are given it."""
    f1: NDArray[np.float64]
    """Harmonic mean of the two."""


def tag_scores(given: NDArray[np.bool_], present: NDArray[np.bool_]) -> TagScores:
    """Computes precision, recall and F1 of each tag.

    Args:
        given: whether a record is given each tag [B, T].
        present: whether it has the tag [B, T].

    Example:
        >>> given, present = [[True], [True], [False]], [[True], [False], [True]]
        >>> tag_scores(np.array(given), np.array(present)).f1
        array([0.5])
    """
    both, told, have = ((part).sum(0) for part in (given & present, given, present))
    with np.errstate(invalid="ignore"):
        return TagScores(have, both / told, both / have, 2 * both / (told + have))


def split_tags(text: str | None, separator: str) -> tuple[str, ...]:
    """Returns the tags of a record, without spaces at their ends; empty ones don't count.

    Example:
        >>> split_tags("red, big,,", ",")
        ('red', 'big')
    """
    parts = (part.strip() for part in (text or "").split(separator))
    return tuple(part for part in parts if part)


def rows_of_tags(y: Iterable[Any]) -> list[frozenset[Any]]:
    """Returns the tags of each record; raises InputError if they are one text, or not a set."""
    try:
        rows = list(y)
    except TypeError:
        raise InputError(f"y is {y!r}; expected a set of tags for each record") from None
    return [_tags_of(row, place) for place, row in enumerate(rows)]


def _tags_of(row: Any, place: int) -> frozenset[Any]:
    with contextlib.suppress(TypeError):
        if not isinstance(row, str):
            return frozenset(row)
    raise InputError(f"y[{place}] is {row!r}; expected a set of tags for each record")


def as_tags(y: Iterable[Any], count: int, separator: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Returns the sorted tags [T], and whether each record has each [B, T]; raises InputError if a
    tag is no text or holds the separator, or there are no tags."""
    rows = rows_of_tags(y)
    if len(rows) != count:
        raise InputError(
            f"y has {len(rows)} elements; expected {count}, a set of tags for each record"
        )
    every = sorted(frozenset().union(*rows), key=str)
    for tag in every:
        if not isinstance(tag, str) or not tag or NO_TEXT.search(tag):
            raise InputError(f"y holds the tag {tag!r}; expected text, valid Unicode without NUL")
        if separator in tag:
            raise InputError(
                f"y holds the tag {tag!r}, in which {separator!r} separates tags; expected another "
                "separator"
            )
    if not every:
        raise InputError("y holds no tag; expected some")
    places = {tag: place for place, tag in enumerate(every)}
    present = np.zeros((count, len(every)), bool)
    for number, row in enumerate(rows):
        present[number, [places[tag] for tag in row]] = True
    return np.array(every), present


def chances(response: Response | Answer, temperature: float) -> NDArray[np.float32]:
    """Returns the probability of each tag [B, T]."""
    yes, no = yes_and_no(response).unbind(1)
    return torch.sigmoid((yes - no) / temperature).numpy()


def best_thresholds(chance: NDArray[np.float32], present: NDArray[np.bool_]) -> tuple[float, ...]:
    """Returns for each tag the threshold with the highest F1, halfway between two probabilities;
    0.5 if few of the records [B, T] have the tag, or lack it."""
    return tuple(map(_best_threshold, chance.T.astype(np.float64), present.T))


def _best_threshold(chance: NDArray[np.float64], present: NDArray[np.bool_]) -> float:
    if min(present.sum(), (~present).sum()) < FEWEST:
        return 0.5
    order = np.argsort(-chance, kind="stable")
    sure = np.append(chance[order], 0.0)
    hits, told = np.cumsum(present[order]), np.arange(1, len(chance) + 1)
    f1 = 2 * hits / (told + present.sum())
    f1[:-1][sure[1:-1] == sure[:-2]] = -1  # equal ones are given together
    best = int(f1.argmax())
    return float((sure[best] + sure[best + 1]) / 2)


def calibrated_tags(
    response: Response, present: NDArray[np.bool_]
) -> tuple[Calibration, tuple[float, ...]]:
    """Calibrates answers to patterns that were not learned from, whose tags are known [B, T]."""
    logits = yes_and_no(response).mT.flatten(0, 1).double().numpy()
    temperature = best_temperature(logits, (~present).ravel().astype(np.int64))
    chance = chances(response, temperature)
    thresholds = best_thresholds(chance, present)
    sure = quantiles(certainty(chance, thresholds))
    return Calibration(temperature, confidences=sure), thresholds


def given_tags(chance: NDArray[np.float32], thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """Returns whether each tag is given [B, T]."""
    return chance >= np.array(thresholds)


def certainty(chance: NDArray[np.float32], thresholds: Sequence[float]) -> NDArray[np.float32]:
    """Returns the confidence in a record's tags [B]: the probability of the least probable one that
    is given; if none is, that the most probable one is absent."""
    given = given_tags(chance, thresholds)
    least = np.where(given, chance, 1).min(1)
    confidence: NDArray[np.float32] = np.where(given.any(1), least, 1 - chance.max(1))
    return confidence


def probable_tags(
    network: PatternNetwork, encoder: CorrelativeEncoder, frame: pl.DataFrame, temperature: float
) -> NDArray[np.float32]:
    """Returns the probability of each tag of each record [B, T]."""
    _, found, response = answered(network, encoder, frame)
    return chances(response, temperature)[found.which]


def described_tags(
    network: PatternNetwork,
    encoder: CorrelativeEncoder,
    frame: pl.DataFrame,
    temperature: float,
    names: Sequence[str],
    tagging: Tagging,
    least: float,
) -> pl.DataFrame:
    """Returns each record's tags as ``label``, joined by the separator, with ``confidence`` and
    ``keys``, as :func:`plastorch.files.predict.described` does for classes."""

    def margin(response: Response) -> Tensor:
        """Returns the gradient of the log-odds of the tags that are given, or of none."""
        chance = chances(response, temperature)
        sign = given_tags(chance, tagging.thresholds).astype(np.float32)
        rows = np.flatnonzero(~sign.any(1))
        sign[rows, chance[rows].argmax(1)] = -1
        gradient = torch.from_numpy(np.stack([-sign, sign], 2)).flatten(1)
        return gradient.to(response.distance)

    parts, found, response = answered(network, encoder, frame)
    chance = chances(response, temperature)
    given = given_tags(chance, tagging.thresholds)
    confidence = certainty(chance, tagging.thresholds)
    texts, which = np.unique(given, axis=0, return_inverse=True)
    known = np.array(names)
    labels = pl.Series([tagging.separator.join(known[row]) for row in texts], dtype=pl.String)
    columns = {
        "label": labels[which.ravel()].set(pl.Series(confidence < least), None),
        "confidence": confidence,
        "keys": driving_keys(network, encoder, parts, found, margin),
    }
    return pl.DataFrame(columns)[found.which]

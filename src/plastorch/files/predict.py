"""Answers of a network to records: classes, probabilities, and the keys that drove them."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from plastorch.files.calibration import Calibration, best_line, best_temperature, quantiles
from plastorch.files.encode import CorrelativeEncoder
from plastorch.spiking.patterns.attribution import Margin, attribute
from plastorch.spiking.patterns.network import PatternNetwork
from plastorch.spiking.patterns.part_answers import answer_parts, nearest
from plastorch.spiking.patterns.parts import Different, Parts, different, grouped
from plastorch.spiking.patterns.rule import Answer, Response, decide
from plastorch.spiking.patterns.training import SCALE, probabilities

EXPLAINED = 4096
"""Number of different patterns explained at a time."""
SAMPLE, MOSTLY = 1 << 16, 0.99
"""Number of first records by which the share of different ones is judged, and a large share."""
NAMED = 3
"""Largest number of keys named as having driven a class."""


def decided(
    network: PatternNetwork, encoder: CorrelativeEncoder, frame: pl.DataFrame
) -> NDArray[np.int64]:
    """Returns the class of each record [B]; arguments as for :func:`described`."""
    _, found, response = answered(network, encoder, frame)
    return nearest(response)[found.which]


def probable(
    network: PatternNetwork,
    encoder: CorrelativeEncoder,
    frame: pl.DataFrame,
    calibration: Calibration,
) -> NDArray[np.float32]:
    """Returns probabilities [B, C], the predicted class's highest; see :func:`described`."""
    _, found, response = answered(network, encoder, frame)
    return np.asarray(_chances(response, calibration))[found.which]


def calibrated(response: Response, codes: NDArray[np.int64]) -> Calibration:
    """Calibrates answers to patterns that were not learned from, whose classes are known."""
    logits = -np.asarray(response.distance, np.float64) / SCALE
    temperature, best = best_temperature(logits, codes), decide(response)
    _, _, log_odds = _apart(probabilities(response.distance, temperature), best)
    line = best_line(log_odds[:, 0].numpy(), best.numpy() == codes)
    found = Calibration(temperature, *line)
    return found._replace(confidences=quantiles(_chances(response, found).amax(1).numpy()))


def described(
    network: PatternNetwork,
    encoder: CorrelativeEncoder,
    frame: pl.DataFrame,
    calibration: Calibration,
    names: Sequence[str],
    least: float,
) -> pl.DataFrame:
    """Returns each record's class as ``label``, its probability as ``confidence``, and the ``keys``
    with the largest margin shares, one row per record; the network is on the CPU. Where confidence
    is below ``least``, the label is missing."""
    parts, found, response = answered(network, encoder, frame)
    chances = _chances(response, calibration)
    confidence = chances.amax(1).numpy()
    labels = pl.Series(names)[chances.argmax(1).numpy()]
    columns = {
        "label": labels.set(pl.Series(confidence < least), None),
        "confidence": confidence,
        "keys": driving_keys(network, encoder, parts, found),
    }
    return pl.DataFrame(columns)[found.which]


def driving_keys(
    network: PatternNetwork,
    encoder: CorrelativeEncoder,
    parts: Parts,
    found: Different,
    margin: Margin | None = None,
) -> pl.Series:
    """Returns the keys and pairs of keys with the largest shares of the margin of each different
    pattern [U]."""
    spans = encoder.spans
    firsts = [span.start for span in spans.values()]
    drove = []
    for begin in range(0, len(found.rows), EXPLAINED):
        bins = parts.assemble(found.rows[begin : begin + EXPLAINED])
        of_inputs = attribute(network, torch.from_numpy(bins), margin).numpy()
        drove.append(np.add.reduceat(of_inputs, firsts, axis=1))
    return _named(np.concatenate(drove), list(spans))


def answered(
    network: PatternNetwork, encoder: CorrelativeEncoder, frame: pl.DataFrame
) -> tuple[Parts, Different, Answer]:
    """Returns the records' patterns, the distinct ones among them, and the answers to these."""
    parts = encoder.encode_parts(frame)
    found = _different(parts)
    return parts, found, answer_parts(network, parts, found)


def _different(parts: Parts) -> Different:
    """Finds the different patterns, the equal ones first by their hashes; if few are equal, all
    count as different."""
    from plastorch.files.distinct import distinct, packed  # numba takes a second

    counts = [len(table) for table in parts.tables]
    some = packed(parts.codes[:SAMPLE], counts)
    if len(distinct(some)[1]) > MOSTLY * len(some):
        return grouped(parts)
    which, rows = distinct(packed(parts.codes, counts))
    found = different(parts._replace(codes=parts.codes[rows]))
    return Different(rows[found.rows], found.which[which])


def _chances(response: Response | Answer, calibration: Calibration) -> Tensor:
    """Returns probabilities: that of the predicted class on the line, and never below another's;
    those of the others in the same ratios as before. In a tie, it is greater by the last bit."""
    best = decide(response)
    chances = probabilities(response.distance, calibration.temperature)
    others, rest, log_odds = _apart(chances, best)
    left = torch.sigmoid(-(calibration.slope * log_odds + calibration.offset)).float()
    left = torch.minimum(left, rest / (rest + others.amax(1, keepdim=True)))
    chances = (others * (left / rest)).scatter(1, best[:, None], 1 - left)
    tied = torch.nonzero(chances.argmax(1) != best)[:, 0]
    highest = chances[tied].amax(1)
    chances[tied, best[tied]] = torch.nextafter(highest, torch.ones_like(highest))
    return chances


def _apart(chances: Tensor, best: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the probabilities of classes [B, C] with that of the best one 0, their sum [B, 1],
    and the log-odds of the best one [B, 1], in float64, whose last bits depend on the batch."""
    others = chances.scatter(1, best[:, None], 0)
    rest = others.sum(1, keepdim=True).clamp_min(torch.finfo(others.dtype).tiny)
    return others, rest, (chances.gather(1, best[:, None]) / rest).double().log()


def _named(drove: NDArray[np.float32], names: Sequence[str]) -> pl.Series:
    """Names the keys with the largest positive shares [U], given all shares [U, M]."""
    order = np.argsort(-drove, axis=1, kind="stable")[:, :NAMED]
    positive = np.take_along_axis(drove, order, axis=1) > 0
    known = pl.Series(names)
    ranks = [
        known[places].set(pl.Series(~yes), None).alias(str(rank))
        for rank, (places, yes) in enumerate(zip(order.T, positive.T, strict=True))
    ]
    joined = pl.DataFrame(ranks).select(pl.concat_str("*", separator=", ", ignore_nulls=True))
    return joined.to_series()

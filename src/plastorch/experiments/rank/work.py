"""Savings of rank coding: steps that are not computed, and the time that they would have taken."""

import time
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from statistics import mean

import torch

from plastorch.engine.run import Claim, Record
from plastorch.experiments.claims import at_most, below
from plastorch.experiments.models import field
from plastorch.rank import Batch, RankCoder


@torch.no_grad()
def work(name: str, coder: RankCoder, batches: Sequence[Batch]) -> dict[str, float]:
    """Measures the cost of answers, as shares of the cost of reading all sequences to their ends.

    ``answer_steps`` is the share of steps that are computed; ``answer_time`` the share of the wall
    time at a threshold of 1, which is never crossed; the two take turns, batch by batch.
    """
    whole = deepcopy(coder.eval())
    whole.threshold = 1.0
    for each in (coder, whole):
        each(batches[0].x, batches[0].lengths)  # warms up before timing
    computed = steps = 0
    ours = theirs = 0.0
    for batch in batches:
        start = time.perf_counter()
        computed += coder(batch.x, batch.lengths).computed
        between = time.perf_counter()
        ends = whole(batch.x, batch.lengths).step + 1  # at a threshold of 1, the last step answers
        ours, theirs = ours + between - start, theirs + time.perf_counter() - between
        steps += int(ends.sum())
    return {
        field(name, "answer_steps"): computed / steps,
        field(name, "answer_time"): ours / theirs,
    }


def answer_claims(figures: Mapping[str, float], name: str) -> Iterator[Claim]:
    """Claims that a network's answers cost half of reading to the end, if measured."""
    for kind, what in (("steps", "multiply-accumulates"), ("time", "wall time")):
        share = figures.get(field(name, f"answer_{kind}"))
        if share is not None:
            statement = f"answers of the test take half the {what} of reading to the end; share"
            yield at_most(f"answer-{kind}", statement, share, 0.5)


def training_claims(records: Sequence[Record], ours: Sequence[str], theirs: str) -> Iterator[Claim]:
    """Compares the cost of phases with that of training at the last step, over as many records."""
    last = [row for row in records if row["phase"] == theirs]
    courses = [[row for row in records if row["phase"] == phase][: len(last)] for phase in ours]
    if not last or not courses or min(len(course) for course in courses) < len(last):
        return
    for kind, key, what in (
        ("steps", "computed_steps", "multiply-accumulates"),
        ("time", "seconds", "wall time"),
    ):
        whole = sum(float(row[key]) for row in last)
        share = mean(sum(float(row[key]) for row in course) for course in courses) / whole
        statement = f"as many updates take less {what} than training at the last step; share"
        yield below(f"whole-training-{kind}", statement, share, 1.0, origin="paper")


def after_as_many(courses: Sequence[Sequence[Record]], count: int) -> list[tuple[float, float]]:
    """Returns mean step and training accuracy of the last records, after as many updates each."""
    updates = min(int(course[-1]["batch"]) for course in courses)
    found = []
    for course in courses:
        rows = [row for row in course if int(row["batch"]) <= updates][-count:]
        step = mean(float(row["mean_step"]) for row in rows)
        found.append((step, mean(float(row["train_accuracy"]) for row in rows)))
    return found

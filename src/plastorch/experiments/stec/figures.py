"""Figures of a comparison's arms from its log: means over seeds, gains and their bounds."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, median, stdev
from typing import NamedTuple

from plastorch.engine.run import Record

Seeds = Mapping[int, float]
"""Figures by seed."""
PROBED = (
    "accuracy",
    "knn_accuracy",
    "ridge_accuracy",
    "logistic_accuracy",
    "few_labels_accuracy",
    "within",
    "between",
    "ratio",
    "class_mean_rank",
    "within_rank",
)
"""Figures of each exam."""
TRIED = (
    "place_r2",
    "size_r2",
    "color_r2",
    "orientation_accuracy",
    "place_iou",
    "segmentation_iou",
    "detection_ap50",
)
"""Figures of transfer."""


class Interval(NamedTuple):
    """Mean of paired differences, and its 95 % confidence interval."""

    mean: float
    low: float
    high: float


def paired(ours: Seeds, theirs: Seeds) -> Interval:
    """Returns the mean difference over common seeds, with bounds from Student's t distribution.

    With a single seed, the bounds equal the mean.
    """
    from scipy.stats import t

    differences = [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]
    mean, count = fmean(differences), len(differences)
    if count == 1:
        return Interval(mean, mean, mean)
    half = float(t.ppf(0.975, count - 1)) * stdev(differences) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


class Figures:
    """Logged figures of each arm of a run's records, such as "simclr-stec", over seeds."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._seeds: dict[tuple[str, str, str, str], dict[int, float]] = defaultdict(dict)
        seconds: dict[str, list[float]] = defaultdict(list)
        for row in records:
            if "arm" in row:
                self._take(row)
            elif "batch" in row:
                seconds[str(row["phase"])].append(float(row["seconds"]))
        for phase, found in seconds.items():
            arm, _, seed = phase.rpartition("-")
            self._seeds["epoch", arm, "", "seconds"][int(seed)] = median(found)
        self.arms = list(
            dict.fromkeys(arm for phase, arm, *_ in self._seeds if phase == "stec-measure")
        )
        self.exams = list(dict.fromkeys(exam for _, _, exam, _ in self._seeds if exam))

    def of(
        self, arm: str, name: str, exam: str | None = None, phase: str = "stec-measure"
    ) -> Seeds:
        """Returns a figure by seed, the mean over exams if none is named; empty if not logged."""
        if exam is not None or phase != "stec-measure":
            return self._seeds.get((phase, arm, exam or "", name), {})
        each = [self.of(arm, name, one) for one in self.exams]
        return {seed: fmean(of[seed] for of in each) for seed in each[0]} if each else {}

    def factors(self, arm: str, kind: str, phase: str = "stec-measure") -> dict[str, Seeds]:
        """Returns figures of each factor of an action; ``kind`` is "found" or "majority"."""
        start, exam = f"{kind}_", self.exams[0] if phase == "stec-measure" else ""
        return {
            name.removeprefix(start): of
            for (one, whose, where, name), of in self._seeds.items()
            if (one, whose, where) == (phase, arm, exam) and name.startswith(start)
        }

    def all_factors(self, arm: str, phase: str) -> Seeds:
        """Returns the share found, averaged over factors."""
        found = list(self.factors(arm, "found", phase).values())
        return {seed: fmean(of[seed] for of in found) for seed in found[0]} if found else {}

    def summary(self) -> dict[str, float]:
        """Returns means over seeds of all figures, and gains of efference copies with bounds.

        The headline is the accuracy of a linear probe trained to the end on frozen features, of
        the first method with efference copies; in a sweep, of the best weight, on the images that
        chose it.
        """
        shown = next((arm for arm in self.arms if arm.endswith("-stec")), None)
        if any("-swept" in arm for arm in self.arms):
            metrics = {"validation_accuracy": max(map(self._headline, self.arms))}
        else:
            metrics = {"test_accuracy": self._headline(shown or self.arms[0])}
        for arm in self.arms:
            metrics |= {f"{_field(arm)}_{name}": value for name, value in self._means(arm)}
        for arm in self.arms:
            method, _, role = arm.partition("-")
            if role != "baseline" and f"{method}-baseline" in self.arms:
                for kind in ("logistic_accuracy", "accuracy"):
                    gain = paired(*(self.of(one, kind) for one in (arm, f"{method}-baseline")))
                    metrics |= {
                        f"{_field(arm)}_gain_{name}_{kind}": value
                        for name, value in gain._asdict().items()
                    }
                times = (self.of(a, "seconds", phase="epoch") for a in (arm, f"{method}-baseline"))
                mine, theirs = (fmean(of.values()) for of in times)
                metrics[f"{_field(arm)}_overhead"] = mine / theirs - 1
        return metrics

    def _take(self, row: Record) -> None:
        phase, arm, exam = (str(row.get(name, "")) for name in ("phase", "arm", "exam"))
        for name, value in row.items():
            if isinstance(value, int | float):
                self._seeds[phase, arm, exam, name][int(row["seed"])] = float(value)

    def _headline(self, arm: str) -> float:
        return fmean(self.of(arm, "logistic_accuracy").values())

    def _means(self, arm: str) -> Iterator[tuple[str, float]]:
        for exam in self.exams:
            start = f"{exam}_" if len(self.exams) > 1 else ""
            for name in PROBED:
                if of := self.of(arm, name, exam):
                    yield start + name, fmean(of.values())
        for phase, ending in (("stec-measure", ""), ("stec-control", "_frozen")):
            for kind in ("found", "majority")[: 1 if ending else 2]:
                for name, of in self.factors(arm, kind, phase).items():
                    yield f"{kind}_{name}{ending}_accuracy", fmean(of.values())
        for name in TRIED:
            if of := self.of(arm, name, phase="stec-transfer"):
                yield name, fmean(of.values())
        if of := self.of(arm, "seconds", phase="epoch"):
            yield "epoch_seconds", fmean(of.values())


def _field(arm: str) -> str:
    return arm.replace("-", "_")

"""Claims about efference copies, and whether the seeds of a run support them."""

from collections.abc import Iterator, Mapping
from statistics import fmean

from plastorch.engine.run import Claim
from plastorch.experiments.claims import Origin, above, asserted, at_least, below, within
from plastorch.experiments.stec.arms import METHODS, RIVALS, SWEPT
from plastorch.experiments.stec.config import LEAST_SEEDS, Published
from plastorch.experiments.stec.figures import Figures, Interval, paired

LOGISTIC = "by a logistic regression on frozen features"
"""Linear probe trained to the end; the one beside a method has not converged after few epochs."""
TRANSFER = {
    "place_r2": "where an object is, share of variance explained",
    "segmentation_iou": "segmentation, mean intersection over union",
    "detection_ap50": "detection, AP50",
}
"""Figures of the other tasks on which encoders are tested."""
BOUND = "lower bound of the mean difference over paired seeds (95 %)"
WELL_ABOVE = 0.05
"""Minimum margin of an inverse model's accuracy over the most frequent class."""
NO_GAIN = 0.01
"""Gain below which efference copies of other pairs count as useless."""
LEVEL = 0.01
"""Loss of accuracy beside another head below which both count as level."""
MIDDLE = 0.3
"""Weight that a sweep's claim is about, set beforehand: the paper's on STL-10."""


def claims(
    figures: Figures, ordinary: bool, published: Mapping[str, Published] | None = None
) -> list[Claim]:
    """Returns the claims that the trained arms can test, not judged unless all is ``ordinary``.

    ``published`` are test accuracies in the paper with these settings, by method.
    """
    found = list(_sweep_claims(figures))
    for method, title in METHODS.items():
        if {f"{method}-baseline", f"{method}-stec"} <= set(figures.arms):
            found += _gain_claims(figures, method, title)
            found += _action_claims(figures, method, title)
            found += _transfer_claims(figures, method, title)
            if published and method in published:
                found += _published_claims(figures, method, title, published[method])
        if f"{method}-shuffled" in figures.arms:
            found += _shuffled_claims(figures, method, title)
        for rival, (name, _) in RIVALS.items():
            if {f"{method}-{rival}", f"{method}-stec"} <= set(figures.arms):
                found += _rival_claims(figures, method, rival, f"{title}, beside {name}")
    return asserted(found, ordinary)


def _published_claims(
    figures: Figures, method: str, title: str, published: Published
) -> Iterator[Claim]:
    ours = {role: figures.of(f"{method}-{role}", "accuracy") for role in published}
    for role, words in {"baseline": "without", "stec": "with"}.items():
        statement = f"{title} {words} efference copies: the paper's test accuracy, within 1 point"
        name, measured = f"{method}-{role}-published", fmean(ours[role].values())
        yield within(name, statement, measured, published[role], tolerance=0.01, origin="paper")
    target = round(published["stec"] - published["baseline"], 4)
    statement = f"{title}: efference copies gain as much as in the paper, less half a point at most"
    gain = paired(ours["stec"], ours["baseline"]).mean
    name = f"{method}-gain-published"
    yield at_least(name, statement, gain, target, tolerance=0.005, origin="paper")


def _bound(name: str, statement: str, low: float, origin: Origin = "ours") -> Claim:
    """Returns a claim that a lower bound is above 0."""
    return above(name, f"{statement}; {BOUND}", low, 0.0, origin=origin)


def _gain_claims(figures: Figures, method: str, title: str) -> Iterator[Claim]:
    def gain(name: str) -> Interval:
        arms = (f"{method}-stec", f"{method}-baseline")
        return paired(*(figures.of(arm, name) for arm in arms))

    statement = f"{title}: more test accuracy with efference copies than without"
    probes = {"logistic": LOGISTIC, "ridge": LOGISTIC.replace("logistic", "ridge")}
    for probe, words in probes.items():
        low = gain(f"{probe}_accuracy").low
        yield _bound(f"{method}-{probe}-accuracy", f"{statement}, {words}", low)
    words = f"{statement}, by the linear layer that learned as in the paper"
    yield _bound(f"{method}-gain-accuracy", words, gain("accuracy").low, "paper")
    statement = f"{title}: classes lie further apart, by mean cosine within over between them"
    yield _bound(f"{method}-geometry", statement, gain("ratio").low)


def _action_claims(figures: Figures, method: str, title: str) -> Iterator[Claim]:
    stec, baseline = f"{method}-stec", f"{method}-baseline"
    most = figures.factors(stec, "majority")
    found = {  # a factor that is always of one class leaves nothing to predict
        name: of
        for name, of in figures.factors(stec, "found").items()
        if min(most[name].values()) < 1
    }
    if found:
        means = [
            {seed: fmean(of[name][seed] for name in found) for seed in next(iter(found.values()))}
            for of in (found, most)
        ]
        margin = paired(*means).low
        statement = (
            f"{title}: the inverse model tells factors of actions well above their most frequent "
            f"classes, mean margin; {BOUND}"
        )
        yield above(f"{method}-inverse", statement, margin, WELL_ABOVE)
        least = min(paired(of, most[name]).low for name, of in found.items())
        statement = f"{title}: and each single factor more often than its most frequent class"
        yield _bound(f"{method}-inverse-least", f"{statement}, the least of them", least)
    lead = paired(*(figures.all_factors(arm, "stec-control") for arm in (stec, baseline)))
    statement = f"{title}: a new inverse model finds less in a frozen encoder of the baseline"
    yield _bound(f"{method}-frozen", statement, lead.low)


def _transfer_claims(figures: Figures, method: str, title: str) -> Iterator[Claim]:
    for name, words in TRANSFER.items():
        arms = (f"{method}-stec", f"{method}-baseline")
        ours, theirs = (figures.of(arm, name, phase="stec-transfer") for arm in arms)
        if ours:
            statement = f"{title}: more of {words}, with efference copies"
            yield _bound(f"{method}-{name.replace('_', '-')}", statement, paired(ours, theirs).low)


def _shuffled_claims(figures: Figures, method: str, title: str) -> Iterator[Claim]:
    for name, words in {"logistic_accuracy": f" {LOGISTIC}", "accuracy": ""}.items():
        baseline, stec, shuffled = (
            figures.of(f"{method}-{role}", name) for role in ("baseline", "stec", "shuffled")
        )
        high, ending = paired(shuffled, baseline).high, name.replace("_", "-")
        statement = (
            f"{title}: efference copies of other pairs gain less than {NO_GAIN} of test accuracy"
            f"{words}; {BOUND.replace('lower', 'upper')}"
        )
        yield below(f"{method}-shuffled-{ending}", statement, high, NO_GAIN)
        statement = f"{title}: more test accuracy{words} with efference copies than with those of"
        lead = paired(stec, shuffled).low
        yield _bound(f"{method}-own-{ending}", f"{statement} other pairs", lead)


def _rival_claims(figures: Figures, method: str, rival: str, title: str) -> Iterator[Claim]:
    def lead(name: str, phase: str) -> float:
        arms = (f"{method}-stec", f"{method}-{rival}")
        return paired(*(figures.of(arm, name, phase=phase) for arm in arms)).low

    low, name = lead("logistic_accuracy", "stec-measure"), f"{method}-{rival}"
    statement = f"{title}: no loss of {LEVEL} or more of test accuracy {LOGISTIC}; {BOUND}"
    yield above(f"{name}-level-accuracy", statement, low, -LEVEL)
    yield _bound(f"{name}-ahead-accuracy", f"{title}: more test accuracy {LOGISTIC}", low)
    if figures.of(f"{method}-stec", "place_r2", phase="stec-transfer"):
        statement = f"{title}: more of {TRANSFER['place_r2']}"
        yield _bound(f"{name}-place-r2", statement, lead("place_r2", "stec-transfer"))


def _sweep_claims(figures: Figures) -> Iterator[Claim]:
    names = [f"simclr-swept{1000 * weight:.0f}" for weight in (SWEPT[0], MIDDLE, SWEPT[-1])]
    if not set(names) <= set(figures.arms):
        return
    none, middle, largest = (figures.of(name, "logistic_accuracy") for name in names)
    inside = min(paired(middle, end).low for end in (none, largest))
    statement = f"a weight of {MIDDLE} of the inverse model beats both none and the largest tried"
    hurts = "far too large a weight hurts: more accuracy without than with the largest tried"
    yield from asserted(
        [
            _bound("sweep-inside", f"{statement}, the lesser lead", inside),
            _bound("sweep-large-accuracy", hurts, paired(none, largest).low),
        ],
        len(none) >= LEAST_SEEDS,
    )

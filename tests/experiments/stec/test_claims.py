"""Figures over paired seeds, their bounds, and the claims that rest on them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from plastorch.experiments.stec.arms import METHODS, SWEPT
from plastorch.experiments.stec.claims import claims
from plastorch.experiments.stec.figures import Figures, paired

FACTORS = ("scale", "flip")


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=9))
def test_bounds_are_those_of_a_paired_t_test(values: list[tuple[float, float]]) -> None:
    ours, theirs = (dict(enumerate(side)) for side in zip(*values, strict=True))
    found = paired(ours, theirs)
    differences = np.array([a - b for a, b in values])
    assert found.mean == pytest.approx(differences.mean(), abs=1e-12)
    if differences.std() > 1e-6:
        known = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=1e-9)


def test_seeds_are_paired_by_their_numbers() -> None:
    found = paired({2: 0.9, 0: 0.5, 7: 0.0}, {0: 0.4, 2: 0.7})
    assert found.mean == pytest.approx(0.15)
    assert paired({3: 0.5}, {3: 0.25}) == (0.25, 0.25, 0.25)


def measured(arm: str, seed: int, right: float, exam: str = "images", **more: Any) -> Any:
    row = {"phase": "stec-measure", "arm": arm, "seed": seed, "exam": exam, "weight": 1.0}
    row |= {"accuracy": right, "knn_accuracy": right, "ridge_accuracy": right}
    row |= {
        "logistic_accuracy": right,
        "within": 0.5,
        "between": 0.4,
        "ratio": 1 + right,
        "class_mean_rank": 5.0,
        "within_rank": 9.0,
    }
    if not arm.endswith("baseline"):
        row |= {"found_scale": 0.3, "majority_scale": 0.1, "found_flip": 0.6, "majority_flip": 0.5}
    return row | more


def log(
    stec: float = 0.75, shuffled: float = 0.7, frozen: float = 0.3, method: str = "simclr"
) -> list[Any]:
    """Of three seeds, whose accuracies all differ by a little."""
    rows: list[Any] = []
    for seed in range(3):
        more, arms = 0.03 * seed, {"baseline": 0.7, "stec": stec, "shuffled": shuffled}
        for role, right in arms.items():
            phase = f"{method}-{role}-{seed}"
            seconds = 10.5 if role == "stec" else 10.0
            rows += [{"phase": phase, "step": n, "batch": n, "seconds": seconds} for n in (1, 2)]
            noise = 0.001 * seed * (role == "stec")
            rows.append(measured(f"{method}-{role}", seed, right + more + noise))
        for role, share in (("baseline", 0.2), ("stec", frozen)):
            row = {"phase": "stec-control", "arm": f"{method}-{role}", "seed": seed}
            rows.append(row | {f"found_{name}": share + 0.001 * seed * (role == "stec")
                               for name in FACTORS})  # fmt: skip
            row = {"phase": "stec-transfer", "arm": f"{method}-{role}", "seed": seed}
            names = ("place_r2", "size_r2", "place_iou", "segmentation_iou", "detection_ap50")
            rows.append(row | dict.fromkeys(names, share + 0.01 * seed))
    return rows


def test_metrics_are_means_over_seeds() -> None:
    metrics = Figures(log()).summary()
    assert metrics["test_accuracy"] == metrics["simclr_stec_logistic_accuracy"]
    assert metrics["test_accuracy"] == pytest.approx(0.781)
    assert metrics["simclr_stec_gain_mean_accuracy"] == pytest.approx(0.051)
    low = 0.051 - 4.3027 * 0.001 / 3**0.5
    assert metrics["simclr_stec_gain_low_accuracy"] == pytest.approx(low, abs=1e-6)
    assert metrics["simclr_shuffled_gain_mean_accuracy"] == pytest.approx(0)
    assert metrics["simclr_stec_overhead"] == pytest.approx(0.05)
    assert metrics["simclr_baseline_epoch_seconds"] == 10
    assert metrics["simclr_stec_found_flip_accuracy"] == pytest.approx(0.6)
    assert metrics["simclr_baseline_found_flip_frozen_accuracy"] == pytest.approx(0.2)
    assert metrics["simclr_stec_place_r2"] == pytest.approx(0.31)


def test_exams_weigh_the_same() -> None:
    rows = [measured("byol-stec", 0, 0.7, exam) | {"logistic_accuracy": right}
            for exam, right in (("words", 0.2), ("digits", 0.8))]  # fmt: skip
    metrics = Figures(rows).summary()
    assert metrics["byol_stec_words_logistic_accuracy"] == 0.2 and metrics["test_accuracy"] == 0.5


@pytest.mark.parametrize("method", METHODS)
def test_all_claims_hold_where_efference_copies_help(method: str) -> None:
    figures = Figures(log(method=method))
    held = {claim.id: claim.holds for claim in claims(figures, True)}
    assert held == dict.fromkeys(held, True)
    assert len(held) == 14 and all(name.startswith(f"{method}-") for name in held)
    assert all("seeds (95 %)" in claim.statement for claim in claims(figures, True))
    assert {claim.holds for claim in claims(figures, False)} == {None}


@pytest.mark.parametrize(
    ("stec", "held"), [(0.735, (True, True, True)), (0.725, (True, True, False)),
                       (0.745, (True, False, True)), (0.715, (True, False, False))],
)  # fmt: skip
def test_accuracies_are_compared_with_the_papers(stec: float, held: tuple[bool, ...]) -> None:
    """The log's mean accuracies are 0.73 without efference copies, and ``stec`` + 0.031 with."""
    rows = log(stec)
    published: Any = {"simclr": {"baseline": 0.725, "stec": 0.762}}
    found = claims(Figures(rows), True, published)
    theirs = [claim for claim in found if claim.id.endswith("-published")]
    kinds = ("baseline", "stec", "gain")
    assert [claim.id for claim in theirs] == [f"simclr-{kind}-published" for kind in kinds]
    assert [claim.holds for claim in theirs] == list(held)
    assert {claim.origin for claim in theirs} == {"paper"}
    assert [claim.target for claim in theirs] == pytest.approx([0.725, 0.762, 0.037])
    others = [claim for claim in found if claim not in theirs]
    assert others == claims(Figures(rows), True, {"byol": published["simclr"]})
    assert {claim.holds for claim in claims(Figures(rows), False, published)} == {None}


def test_of_one_seed_a_claim_measures_the_difference() -> None:
    """So that claims can be judged over several runs of one seed each."""
    rows = [row for row in log() if row.get("seed", 1) == 1]
    found = {claim.id: claim.measured for claim in claims(Figures(rows), False)}
    assert found["simclr-logistic-accuracy"] == pytest.approx(0.051)
    assert found["simclr-own-logistic-accuracy"] == pytest.approx(0.051)
    assert found["simclr-shuffled-logistic-accuracy"] == pytest.approx(0)


def test_claims_fail_where_they_do_not() -> None:
    worse = log(stec=0.6, shuffled=0.8, frozen=0.1)
    failing = {claim.id for claim in claims(Figures(worse), True) if claim.holds is False}
    assert failing == {
        "simclr-gain-accuracy",
        "simclr-logistic-accuracy",
        "simclr-ridge-accuracy",
        "simclr-geometry",
        "simclr-frozen",
        "simclr-place-r2",
        "simclr-segmentation-iou",
        "simclr-detection-ap50",
        "simclr-shuffled-accuracy",
        "simclr-own-accuracy",
        "simclr-shuffled-logistic-accuracy",
        "simclr-own-logistic-accuracy",
    }
    blind = [row | {"found_flip": 0.4, "found_scale": 0.1} if "found_flip" in row else row
             for row in log()]  # fmt: skip
    failing = {claim.id for claim in claims(Figures(blind), True) if claim.holds is False}
    assert failing == {"simclr-inverse", "simclr-inverse-least", "simclr-frozen"}


@pytest.mark.parametrize(("lead", "level", "ahead"), [(0.02, True, True), (-0.005, True, False),
                                                      (-0.02, False, False)])  # fmt: skip
def test_other_heads_are_level_or_behind(lead: float, level: bool, ahead: bool) -> None:
    rows = log()
    for seed in range(3):
        noise = 0.001 * seed
        rows.append({"phase": f"simclr-augself-{seed}", "batch": 1, "seconds": 10.0})
        rows.append(measured("simclr-augself", seed, 0.75 - lead + 0.03 * seed + noise))
        row = {"phase": "stec-transfer", "arm": "simclr-augself", "seed": seed}
        rows.append(row | {"place_r2": 0.3 - lead + 0.01 * seed + noise})
    held = {claim.id: claim.holds for claim in claims(Figures(rows), True)}
    names = ("level-accuracy", "ahead-accuracy", "place-r2")
    assert [held[f"simclr-augself-{name}"] for name in names] == [level, ahead, ahead]
    metrics = Figures(rows).summary()
    assert metrics["simclr_augself_gain_mean_accuracy"] == pytest.approx(0.051 - lead)


def test_noise_is_no_proof_that_shuffled_copies_are_useless() -> None:
    noisy = [row | {"accuracy": row["accuracy"] + 0.1 * (row["seed"] - 1)}
             if row.get("arm") == "simclr-shuffled" and "exam" in row else row
             for row in log()]  # fmt: skip
    held = {claim.id: claim.holds for claim in claims(Figures(noisy), True)}
    assert held["simclr-shuffled-accuracy"] is False


def test_a_factor_of_one_class_is_left_out_and_margins_hold_over_seeds() -> None:
    constant = [row | {"found_m12": 1.0, "majority_m12": 1.0} if "found_flip" in row else row
                for row in log()]  # fmt: skip
    found, known = (
        {claim.id: claim for claim in claims(Figures(rows), True)} for rows in (constant, log())
    )
    for name in ("simclr-inverse", "simclr-inverse-least"):
        assert found[name] == known[name] and found[name].holds
    noisy = [row | {"found_flip": row["found_flip"] + 0.4 * (row["seed"] - 1)}
             if "exam" in row and "found_flip" in row else row for row in log()]  # fmt: skip
    failing = {claim.id for claim in claims(Figures(noisy), True) if claim.holds is False}
    assert {"simclr-inverse", "simclr-inverse-least"} <= failing


@pytest.mark.parametrize(
    ("accuracies", "inside", "hurts"),
    [((0.5, 0.6, 0.7, 0.6, 0.5, 0.4), True, True), ((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), False, False),
     ((0.6, 0.5, 0.5, 0.5, 0.5, 0.5), False, True), ((0.5, 0.5, 0.5, 0.7, 0.5, 0.5), False, False)],
)  # fmt: skip
def test_a_sweep_tells_whether_a_weight_set_beforehand_beats_both_ends(
    accuracies: tuple[float, ...], inside: bool, hurts: bool
) -> None:
    rows = [
        measured(f"simclr-swept{1000 * weight:.0f}", seed, right + 0.001 * seed * weight)
        for weight, right in zip(SWEPT, accuracies, strict=True)
        for seed in range(3)
    ]
    metrics = Figures(rows).summary()
    assert metrics["validation_accuracy"] >= max(accuracies) and "test_accuracy" not in metrics
    assert [claim.holds for claim in claims(Figures(rows), True)] == [inside, hurts]
    fewer = [row for row in rows if row["seed"] < 2]
    assert [claim.holds for claim in claims(Figures(fewer), True)] == [None, None]

"""Metrics and claims of softhebb-bayes from records made by hand."""

import itertools
from typing import Any

import pytest

from plastorch.experiments.claims import above
from plastorch.experiments.softhebb.bayes_claims import (
    ATTACKED,
    ATTACKS,
    LEARNING,
    Comparison,
    accuracy_curve,
    claims,
    metrics,
    steps_to,
)

Row = dict[str, Any]


def course(phase: str, accuracies: list[float], losses: list[float]) -> list[Row]:
    return [
        {"phase": phase, "step": 10**i, "test_accuracy": a, "cross_entropy": loss}
        for i, (a, loss) in enumerate(zip(accuracies, losses, strict=True))
    ]


def world(found: int, **changes: float) -> Row:
    row: Row = {
        "phase": "theory",
        "step": 1,
        "found": found,
        "kl_before": 5.0,
        "kl": 0.01,
        "cross_entropy_before": 2.0,
        "cross_entropy": 0.001,
        "posterior_distance": 0.002,
        "alignment": 0.999,
        "prior_error": 0.03,
        "equilibrium_score": 1.0,
    }
    return row | changes


def attacked(attack: str, network: str, images: int, curve: dict[float, float]) -> list[Row]:
    about = {"phase": "robustness", "step": 1, "attack": attack, "network": network}
    return [about | {"images": images, "strength": s, "accuracy": a} for s, a in curve.items()]


def whole_run() -> list[Row]:
    """A log in which every claim of the paper holds."""
    rows = [world(1) for _ in range(3)]
    ends = {"soft": 0.96, "hard": 0.9, "backprop": 0.94, "backprop-unit": 0.93}
    for when, (kind, last) in itertools.product(("once", "again", "long"), ends.items()):
        quick, loss = (0.95, 0.2) if kind == "soft" else (0.7, 0.3)
        rows += course(f"{when}-{kind}", [0.2, quick, last], [2.3, 1.0, loss])
    rows += course("once-sampled", [0.2, 0.7, 0.91], [2.3, 1.0, 0.3])
    rows += course("judge", [0.5, 0.99], [1.0, 0.05])
    for when, kind in itertools.product(("once", "long"), ("soft", "hard")):
        found = {"label_assignment": 0.8 if kind == "soft" else 0.7, "teacher_clamped": 0.6}
        rows.append({"phase": "readouts", "step": 1, "network": f"{when}-{kind}"} | found)
    falls = {"soft": 0.6, "hard": 0.4, "backprop": 0.2, "backprop-unit": 0.3}
    for attack, (kind, half) in itertools.product(ATTACKS, falls.items()):
        rows += attacked(attack, kind, 250, {0.0: 0.97, 0.5: half, 1.0: 0.0})
    rows += attacked("noise", "sampled", 250, {0.0: 0.97, 0.5: 0.5, 1.0: 0.0})
    for kind, seen in (("soft", 0.4), ("hard", 0.3), ("backprop", 0.1), ("backprop-unit", 0.2)):
        row = {"phase": "interpolation", "step": 1, "network": kind, "crossed": 1.0}
        rows.append(row | {"judge_target": seen, "strength": 2.0})
    return rows


COMPARED = ["one-pass", "iterations", *(f"robust-{attack}" for attack in ATTACKS), "interpolation"]
BESIDE_SAMPLES = ("one-pass", "robust-noise")
THEIRS = ["cross-entropy-hard", "soft-hard", *COMPARED]
IDS = [
    *("equilibrium", "posterior", "weights", "prior", "kl", "hidden-cross-entropy", "found"),
    *("cross-entropy", "cross-entropy-hard", "soft-hard"),
    *(
        f"{name}{end}"
        for name in COMPARED
        for end in ("", "-hard", "-unit", "-sampled")[: 4 if name in BESIDE_SAMPLES else 3]
    ),
]


def test_a_course_has_its_start_its_end_and_its_speed() -> None:
    rows = course("once-soft", [0.1, 0.94, 0.96, 0.95], [2.3, 0.5, 0.2, 0.25])
    assert metrics(rows) == {
        "once_soft_accuracy": 0.95,
        "once_soft_cross_entropy": 0.25,
        "once_soft_cross_entropy_at_first": 2.3,
        "once_soft_steps_to_95_percent": pytest.approx(1 + 9 * (0.95**2 - 0.1) / 0.84),
        "test_accuracy": 0.95,
    }
    long = metrics(course("long-soft", [0.5, 0.9], [1, 0.3]) + course("judge", [0.7, 0.98], [1, 0]))
    assert long["test_accuracy"] == long["long_soft_accuracy"] == 0.9
    assert long["judge_accuracy"] == 0.98
    assert not [name for name in long if "steps" in name]


def test_steps_to_is_where_the_course_first_crosses_the_accuracy() -> None:
    rows = course("once-soft", [0.1, 0.6, 0.5, 0.7], [1, 1, 1, 1])
    assert steps_to(rows, 0.05) == pytest.approx(0.5)  # from nothing at step 0
    assert steps_to(rows, 0.1) == pytest.approx(1)
    assert steps_to(rows, 0.35) == pytest.approx(5.5)
    assert steps_to(rows, 0.6) == pytest.approx(10)
    assert steps_to(rows, 0.65) == pytest.approx(100 + 900 * 0.75)
    assert steps_to(rows, 0.7) == pytest.approx(1000)
    assert steps_to(rows, 0.71) == float("inf")
    assert steps_to([], 0.0) == float("inf")


def test_parts_of_the_attacked_images_weigh_by_their_size() -> None:
    rows = [
        *attacked("l2", "soft", 250, {0.0: 1.0, 2.0: 0.8}),
        *attacked("l2", "hard", 250, {0.0: 0.5, 2.0: 0.5}),
        *attacked("linf", "soft", 250, {0.0: 0.3, 2.0: 0.3}),
        *attacked("l2", "soft", 50, {2.0: 0.2, 0.0: 0.4}),
    ]
    curve = accuracy_curve(rows, "l2", "soft")
    assert list(curve) == [0.0, 2.0]
    assert curve == {0.0: pytest.approx(0.9), 2.0: pytest.approx(0.7)}
    assert accuracy_curve(rows, "l2", "backprop") == {}
    found = metrics(rows)
    assert list(found) == ["area_l2_soft", "area_l2_hard", "area_linf_soft"]
    assert found["area_l2_soft"] == pytest.approx(0.8)
    uneven = metrics(attacked("transfer-l2", "soft", 9, {0.0: 1.0, 1.0: 0.5, 3.0: 0.0}))
    assert uneven["area_transfer_l2_soft"] == pytest.approx((0.75 + 2 * 0.25) / 3)


def test_medians_are_over_the_worlds_in_which_all_causes_were_found() -> None:
    rows = [world(1, kl=k) for k in (0.01, 0.05, 0.03)] + [world(0, kl=9.0)] * 4
    found = metrics(rows)
    assert found["theory_kl"] == 0.03
    assert found["theory_found"] == pytest.approx(3 / 7)
    assert found["theory_kl_before"] == 5.0
    assert metrics(rows[:2])["theory_kl"] == pytest.approx(0.03)
    lost = metrics([world(0, kl=k) for k in (7.0, 8.0, 9.0)])
    assert lost["theory_found"] == 0 and lost["theory_kl"] == 8.0  # not hidden behind a gap
    assert not [name for name in found if name.endswith(("_step", "_phase"))]


def test_readouts_and_interpolation_are_named_after_their_network() -> None:
    rows = [
        {"phase": "readouts", "step": 1, "network": "once-soft", "label_assignment": 0.7},
        {"phase": "readouts", "step": 2, "network": "long-hard", "teacher_clamped": 0.6},
        {"phase": "interpolation", "step": 1, "network": "soft", "crossed": 1.0, "direction": 0.1},
    ]
    assert metrics(rows) == {
        "once_soft_label_assignment": 0.7,
        "long_hard_teacher_clamped": 0.6,
        "between_crossed_soft": 1.0,
        "between_direction_soft": 0.1,
    }
    assert metrics([]) == {}


def test_every_claim_holds_where_the_log_says_so() -> None:
    found = claims(metrics(whole_run()), evidence=True)
    assert [claim.id for claim in found] == IDS
    assert all(claim.holds is True for claim in found)
    theirs = [claim.id for claim in found if claim.origin == "paper"]
    assert theirs == THEIRS


FAILURES = {
    "equilibrium": {"theory_equilibrium_score": 1.2},
    "posterior": {"theory_posterior_distance": 0.04},
    "weights": {"theory_alignment": 0.98},
    "prior": {"theory_prior_error": 0.2},
    "kl": {"theory_kl": 0.06},
    "hidden-cross-entropy": {"theory_cross_entropy": 0.03},
    "found": {"theory_found": 0.4},
    "cross-entropy": {"again_soft_cross_entropy": 1.2, "again_hard_cross_entropy": 1.3},
    "soft-hard": {"once_soft_label_assignment": 0.69},
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_claim_that_fails_is_false_and_no_other_is(name: str) -> None:
    changed = metrics(whole_run()) | FAILURES[name]
    found = {claim.id: claim for claim in claims(changed, evidence=True)}
    assert [i for i, claim in found.items() if claim.holds is not True] == [name]
    assert found[name].holds is False
    assert found[name].measured == next(iter(FAILURES[name].values()))


@pytest.mark.parametrize("each", [*LEARNING, *ATTACKED], ids=lambda each: each.name)
def test_a_network_that_reaches_softhebb_makes_one_comparison_fail(each: Comparison) -> None:
    found = metrics(whole_run())
    soft = found[each.metric.format("soft")]
    for other, end in each.ends.items():
        for reached in (soft, 10 * soft if each.judge is above else soft / 10):
            changed = claims(found | {each.metric.format(other): reached}, evidence=True)
            failed = [claim for claim in changed if claim.holds is not True]
            assert [claim.id for claim in failed] == [each.name + end]
            assert (failed[0].target, failed[0].measured) == (reached, soft)


def test_what_is_no_evidence_asserts_nothing() -> None:
    for found in (metrics(whole_run()), metrics(whole_run()) | FAILURES["kl"]):
        rows, asserted = claims(found, evidence=False), claims(found, evidence=True)
        assert all(claim.holds is None for claim in rows)
        assert [(c.id, c.target, c.measured) for c in rows] == [
            (c.id, c.target, c.measured) for c in asserted
        ]


def test_other_attacks_than_usual_leave_learning_and_noise_judged() -> None:
    found = claims(metrics(whole_run()), evidence=True, attacks=False)
    starts = ("robust-linf", "robust-l2", "robust-transfer", "interpolation")
    undecided = [name for name in IDS if name.startswith(starts)]
    assert [claim.id for claim in found] == IDS
    assert [claim.id for claim in found if claim.holds is None] == undecided
    assert {claim.holds for claim in found} == {None, True}


def test_targets_come_from_the_run_itself() -> None:
    found = {claim.id: claim.target for claim in claims(metrics(whole_run()), evidence=True)}
    assert found["kl"] == pytest.approx(0.05)
    assert found["hidden-cross-entropy"] == pytest.approx(0.02)
    assert found["cross-entropy"] == pytest.approx(1.15)
    assert found["cross-entropy-hard"] == 0.3 and found["soft-hard"] == 0.7
    targets = [found[f"one-pass{end}"] for end in ("", "-hard", "-unit")]
    assert targets == [0.94, 0.9, 0.93]
    assert found["iterations"] == pytest.approx(10 + 90 * (0.95 * 0.94 - 0.7) / 0.24)
    assert found["robust-noise"] == pytest.approx((0.97 / 2 + 0.2) / 2)


def test_no_image_that_can_be_turned_makes_no_claim_of_interpolation() -> None:
    """No attack crossed for one kind, or no image was right from the start."""
    rows = [row for row in whole_run() if row["phase"] != "interpolation"]
    crossed = {"phase": "interpolation", "step": 1, "network": "soft", "crossed": 0.0}
    for log in (rows, [*rows, crossed]):
        assert [claim.id for claim in claims(metrics(log), evidence=True)] == IDS[:-3]


def test_what_was_not_measured_is_not_claimed() -> None:
    """Parts that were left out, and networks that were."""
    log = whole_run()
    once = metrics([row for row in log if row["phase"].startswith("once")])
    ends = ("", "-hard", "-unit")
    names = [f"{name}{end}" for name in ("one-pass", "iterations") for end in ends]
    names.insert(3, "one-pass-sampled")
    assert [claim.id for claim in claims(once, evidence=True)] == names
    assert once["test_accuracy"] == once["once_soft_accuracy"]
    hard = metrics([row for row in log if row["phase"].endswith("hard")])
    assert claims(hard, evidence=True) == [] and "test_accuracy" not in hard

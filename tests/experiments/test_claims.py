"""Claims: when they hold."""

from dataclasses import asdict

from plastorch.experiments.claims import above, asserted, at_least, at_most, below, within
from plastorch.report.format import bound


def test_claims_compare_with_their_target() -> None:
    held = [
        [make("id", "statement", measured, 0.5).holds for measured in (0.4, 0.5, 0.6)]
        for make in (above, at_least, below, at_most)
    ]
    assert held == [
        [False, False, True],
        [False, True, True],
        [True, False, False],
        [True, True, False],
    ]


def test_a_tolerance_is_on_the_wrong_side_or_on_both() -> None:
    least = [at_least("a", "", m, 0.5, tolerance=0.25).holds for m in (0.2, 0.25, 0.6)]
    near = [within("a", "", m, 0.5, tolerance=0.25).holds for m in (0.2, 0.25, 0.75, 0.8)]
    assert least == [False, True, True] and near == [False, True, True, False]


def test_claims_tell_their_direction() -> None:
    made = [make("id", "", 2.0, 1.5) for make in (above, at_least, below, at_most)]
    made += [within("id", "", 2, 1.5, tolerance=0.5), at_least("id", "", 2, 1.5, tolerance=0.5)]
    told = [bound(asdict(claim)) for claim in made]
    assert told == ["> 1.5", "≥ 1.5", "< 1.5", "≤ 1.5", "1.5 ± 0.5", "≥ 1.5 − 0.5"]
    for claim, word in zip(made[:4], "≥≥≤≤", strict=True):  # as older results have them
        older = asdict(claim) | {"relation": None}
        assert bound(older) == f"{word} 1.5"


def test_a_run_that_is_no_evidence_decides_nothing() -> None:
    claims = [above("gain", "learning helps", 0.1, 0.0)]
    assert asserted(claims) == claims
    assert asserted(claims, evidence=False)[0].holds is None

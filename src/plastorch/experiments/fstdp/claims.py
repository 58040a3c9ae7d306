"""Claims of the paper about fatiguing STDP, and our own, as rows of a run's result."""

from plastorch.engine.run import Claim
from plastorch.experiments.claims import Row, judged
from plastorch.experiments.fstdp.metrics import CLEAR

ADVERSE = "correlated inputs slow, others up to 4 times as fast"
GRADED = "rates from 2 to 80 Hz"


def claims(found: dict[str, float], seeds: int, asserted: bool) -> list[Claim]:
    """Returns claims of the paper's abstract, of its theory as we derive it, and of our own tests.

    Args:
        found: figures from :func:`plastorch.experiments.fstdp.metrics.metrics`.
        seeds: number of spike trains per condition.
        asserted: False if the run is no evidence: a smoke run or other settings.
    """
    many = f"mean of {seeds} seeds"
    rows = _selection(found, many) + _theory(found, many) + _controls(found, many)
    rows += _covariance(found, many) + _machinery(found, many)
    return judged(rows, asserted)


def _selection(found: dict[str, float], many: str) -> list[Row]:
    """Makes claims about which rules find the correlated inputs."""
    finds = min(found[f"slow_{c}_fstdp_auc"] for c in CLEAR)
    fooled = max(found[f"slow_{c}_stdp_auc"] for c in CLEAR)
    always = max(found[f"slow_{c}_stdp_auc_worst"] for c in CLEAR)
    loss = max(found[f"equal_{c}_stdp_auc"] - found[f"equal_{c}_fstdp_auc"] for c in (0.05, *CLEAR))
    distractors = [f"distractors_{f}" for f in (0.5, 1.0, 2.0)]
    among = min(found[f"{name}_fstdp_auc"] for name in distractors)
    fooled_again = max(found[f"{name}_stdp_auc"] for name in distractors)
    return [
        Row(
            "fstdp-finds",
            f"{ADVERSE}: AUC of FSTDP's weights, {many}, least of c = 0.1 to 0.8",
            finds,
            "above",
            0.99,
            "paper",
        ),
        Row(
            "stdp-fooled",
            f"{ADVERSE}: AUC of STDP's weights, {many}, the largest of c = 0.1 to 0.8",
            fooled,
            "below",
            0.5,
            "paper",
        ),
        Row(
            "stdp-always-fooled",
            "the same, the largest of all seeds",
            always,
            "below",
            0.5,
        ),
        Row(
            "fstdp-finds-weak",
            f"{ADVERSE}: AUC of FSTDP's weights at c = 0.05, {many}",
            found["slow_0.05_fstdp_auc"],
            "above",
            0.95,
        ),
        Row(
            "equal-rates",
            f"equal rates: what FSTDP loses against STDP in AUC, {many}, most of c = 0.05 to 0.8",
            loss,
            "below",
            0.02,
        ),
        Row(
            "distractors",
            "40 independent fast inputs with a common rhythm of their rates (0.5, 1, 2 Hz), c = "
            f"0.1: AUC of FSTDP's weights, {many}, the least",
            among,
            "above",
            0.99,
            "paper",
        ),
        Row(
            "distractors-stdp",
            f"the same with STDP, {many}, the largest",
            fooled_again,
            "below",
            0.5,
            "paper",
        ),
        Row(
            "jitter",
            f"{ADVERSE}, c = 0.5, common events jittered by 10 ms: AUC of FSTDP's weights, {many}",
            found["jitter_0.01_fstdp_auc"],
            "above",
            0.99,
        ),
    ]


def _theory(found: dict[str, float], many: str) -> list[Row]:
    """Makes claims about the predictions of the closed forms."""
    enough = min(found[f"slow_0.5_strength_{x}_auc"] for x in (0.5, 1.0, 2.5, 10.0))
    rows = [
        Row(
            "resource",
            "mean resource of Poisson inputs of 1 to 100 Hz is 1 / (1 + U r τ): largest relative "
            "error",
            found["resource_error"],
            "below",
            0.01,
        ),
        Row(
            "drive-ratio",
            "drive of 40 Hz over that of 10 Hz is as predicted: largest relative error",
            found["drive_ratio_error"],
            "below",
            0.01,
        ),
        Row(
            "drive-equal",
            "drive of 40 Hz over that of 10 Hz tends to 1: at U r τ = 10 of the slow input",
            found["drive_ratio_most_fatigued"],
            "below",
            1.1,
        ),
        Row(
            "drift",
            "drift of the weights of correlated, slow and fast inputs is the mean field's: root "
            "mean square error, over that of the drifts",
            found["drift_error"],
            "below",
            0.1,
        ),
        Row(
            "step-below",
            f"{ADVERSE}, c = 0.5: AUC with too little fatigue, U r τ = 0.1 of slow inputs, {many}",
            found["slow_0.5_strength_0.1_auc"],
            "below",
            0.6,
            "paper",
        ),
        Row(
            "step-above",
            f"the same with enough, U r τ from 0.5 to 10, {many}, the least",
            enough,
            "above",
            0.95,
            "paper",
        ),
        Row(
            "condition",
            "ratio of rates x c x fatigue: the analytic condition tells whether correlated slow "
            "inputs beat fast ones (share of the grid)",
            found["condition_agreement"],
            "above",
            0.95,
            "paper",
        ),
    ]
    if "threshold_4_0.5" in found:
        at, predicted = found["threshold_4_0.5"], found["threshold_4_0.5_predicted"]
        rows.append(
            Row(
                "step-at",
                f"the step (AUC against fast inputs of 0.5) is at the predicted U r τ = "
                f"{predicted:.2f}: it is at {at:.2f}, by the factor of",
                max(at / predicted, predicted / at),
                "below",
                1.5,
                "paper",
            )
        )
    if "thresholds" in found:
        rows += [
            Row(
                "condition-moves",
                "the fatigue that is needed depends on ratio and c as predicted (rank correlation)",
                found["threshold_rank_correlation"],
                "above",
                0.95,
                "paper",
            ),
            Row(
                "condition-exact",
                "the fatigue that is needed over what is predicted, or its inverse: median",
                found["threshold_factor"],
                "below",
                1.25,
            ),
        ]
    return rows


def _controls(found: dict[str, float], many: str) -> list[Row]:
    """Makes claims about where fatigue must act, and about classical STDP."""
    places = ("slow_0.5", "fast", "both")
    return [
        Row(
            "efficacy-only",
            "half of the correlated inputs slow, half fast; fatigue of the efficacy only: AUC of "
            f"weights or of efficacies, {many}, the larger",
            max(found["both_efficacy_auc"], found["both_efficacy_auc_efficacy"]),
            "below",
            0.8,
        ),
        Row(
            "efficacy-and-trace",
            "fatigue of efficacy and trace, correlated inputs slow, fast, or half and half: AUC of "
            f"weights, {many}, the least",
            min(found[f"{place}_fstdp_auc"] for place in places),
            "above",
            0.99,
        ),
        Row(
            "pair-fooled",
            f"{ADVERSE}, c = 0.5: AUC of classical pair STDP without fatigue, {many}",
            found["slow_0.5_pair_auc"],
            "below",
            0.5,
        ),
        Row(
            "pair-fooled-jitter",
            f"the same with common events jittered by 5 ms, {many}",
            found["jitter_0.005_pair_auc"],
            "below",
            0.5,
        ),
    ]


def _covariance(found: dict[str, float], many: str) -> list[Row]:
    """Makes claims about what the weights read out."""
    return [
        Row(
            "ranks",
            f"{GRADED}, half of the inputs correlated (c = 0.2), U r τ = 4 of the slowest: rank "
            f"correlation of FSTDP's weights with row sums of the normalized covariance, {many}",
            found["graded_half_deep_rank_with_covariance"],
            "above",
            0.8,
        ),
        Row(
            "ranks-defaults",
            f"the same with the default fatigue, U r τ = 0.5 of the slowest, {many}",
            found["graded_half_fstdp_rank_with_covariance"],
            "above",
            0.8,
        ),
        Row(
            "ranks-few",
            f"{GRADED}, 40 of 200 inputs correlated (c = 0.5), default fatigue, {many}; perfect "
            f"selection alone gives at most {found['graded_few_fstdp_rank_of_members']:.2f}",
            found["graded_few_fstdp_rank_with_covariance"],
            "above",
            0.8,
        ),
        Row(
            "ranks-stdp",
            f"{GRADED}, half of the inputs correlated (c = 0.2): rank correlation of STDP's "
            f"weights with rates, {many}",
            found["graded_half_stdp_rank_with_rate"],
            "above",
            0.8,
        ),
    ]


def _machinery(found: dict[str, float], many: str) -> list[Row]:
    """Makes claims about agreement of engines, and about devices that are not ideal."""
    return [
        Row(
            "engines",
            "event-driven and clocked engines: largest difference of a weight, the output spikes "
            "being the same (1 if not)",
            found["engines_weight_difference"] if found["engines_same_spikes"] else 1.0,
            "below",
            1e-9,
        ),
        Row(
            "cost",
            "a simulated second of the event-driven layer costs a fixed part and one in proportion "
            "to synapses, or to input spikes: largest relative difference from that",
            max(found["synapse_cost_misfit"], found["spike_cost_misfit"]),
            "below",
            0.2,
        ),
        Row(
            "memristive",
            f"{ADVERSE}: AUC lost with 7 pairs of phase-change devices per weight, {many}, most of "
            "c = 0.1 to 0.8",
            found["several_pairs_loss"],
            "below",
            0.03,
            "paper",
        ),
        Row(
            "memristive-one-pair",
            f"the same with one pair of devices per weight, {many}",
            found["one_pair_loss"],
            "below",
            0.03,
        ),
    ]

"""Claims of the paper about fatiguing STDP, and our own."""

from dataclasses import replace

from plastorch.engine.run import Claim
from plastorch.experiments.claims import above, asserted, below
from plastorch.experiments.fstdp.metrics import CLEAR

Figures = dict[str, float]

ADVERSE = "correlated inputs slow, others up to 4 times as fast"
GRADED = "rates from 2 to 80 Hz"
HALF = f"{GRADED}, half of the inputs correlated (c = 0.2)"
DRIVE = "drive of 40 Hz over that of 10 Hz"


def claims(found: Figures, seeds: int, few: int, evidence: bool) -> list[Claim]:
    """Returns claims of the paper's abstract, of its theory as we derive it, and of our tests.

    They are about ``seeds`` spike trains per condition, those on grids about ``few``.
    """
    many = f"mean of {seeds} seeds"
    made = _selection(found, many) + _distraction(found, many) + _theory(found, few)
    made += _step(found, many, few) + _controls(found, many)
    made += _covariance(found, many) + _machinery(found) + _devices(found, many)
    return asserted(made, evidence)


def _about(runs: int, *claims: Claim) -> list[Claim]:
    """Returns claims about this number of spike trains per condition."""
    return [replace(claim, runs=runs) for claim in claims]


def _selection(found: Figures, many: str) -> list[Claim]:
    """Makes claims about which rules find slow correlated inputs."""
    finds = min(found[f"slow_{c}_fstdp_auc"] for c in CLEAR)
    fooled = max(found[f"slow_{c}_stdp_auc"] for c in CLEAR)
    always = max(found[f"slow_{c}_stdp_auc_worst"] for c in CLEAR)
    loss = max(found[f"equal_{c}_stdp_auc"] - found[f"equal_{c}_fstdp_auc"] for c in (0.05, *CLEAR))
    weak, auc = found["slow_0.05_fstdp_auc"], f"{ADVERSE}: AUC of"
    least = f"{auc} FSTDP's weights, {many}, least of c = 0.1 to 0.8"
    most = f"{auc} STDP's weights, {many}, the largest of c = 0.1 to 0.8"
    ever = f"{auc} STDP's weights, the largest of all seeds and c"
    lost = f"what FSTDP loses against STDP in AUC, {many}, most of c = 0.05 to 0.8"
    return [
        above("fstdp-finds", least, finds, 0.99),
        below("stdp-fooled", most, fooled, 0.5),
        below("stdp-always-fooled", ever, always, 0.5),
        above("fstdp-finds-weak", f"{auc} FSTDP's weights at c = 0.05, {many}", weak, 0.95),
        below("equal-rates", f"equal rates: {lost}", loss, 0.02),
    ]


def _distraction(found: Figures, many: str) -> list[Claim]:
    """Makes claims about fast inputs with a common rhythm, and about jitter."""
    distractors = [f"distractors_{f}" for f in (0.5, 1.0, 2.0)]
    among = min(found[f"{name}_fstdp_auc"] for name in distractors)
    fooled = max(found[f"{name}_stdp_auc"] for name in distractors)
    auc = f"AUC of FSTDP's weights, {many}"
    rhythm = (
        "40 independent fast inputs with a common rhythm of their rates (0.5, 1, 2 Hz), c = 0.1"
    )
    jitter = f"{ADVERSE}, c = 0.5, common events jittered by 10 ms: {auc}"
    same = f"{rhythm}: AUC of STDP's weights, {many}, the largest"
    return [
        above("distractors", f"{rhythm}: {auc}, the least", among, 0.99),
        below("distractors-stdp", same, fooled, 0.5),
        above("jitter", jitter, found["jitter_0.01_fstdp_auc"], 0.99),
    ]


def _theory(found: Figures, few: int) -> list[Claim]:
    """Makes claims about the closed forms of resource, drive and drift."""
    resource = "mean resource of Poisson inputs of 1 to 100 Hz is 1 / (1 + U r τ)"
    equal = f"{DRIVE} tends to 1: at U r τ = 10 of the slow input"
    drift = (
        "drift of the weights of correlated, slow and fast inputs is the mean field's: root mean "
        "square error, over that of the drifts"
    )
    largest, most = "largest relative error", found["drive_ratio_most_fatigued"]
    ratio = f"{DRIVE} is as predicted: {largest}"
    return [
        *_about(
            1,
            below("resource", f"{resource}: {largest}", found["resource_error"], 0.01),
            below("drive-ratio", ratio, found["drive_ratio_error"], 0.01),
            below("drive-equal", equal, most, 1.1),
        ),
        *_about(2 * few, below("drift", drift, found["drift_error"], 0.1)),
    ]


def _step(found: Figures, many: str, few: int) -> list[Claim]:
    """Makes claims about how much fatigue is needed, and its prediction."""
    little = f"{ADVERSE}, c = 0.5: AUC with too little fatigue, U r τ = 0.1 of slow inputs, {many}"
    same = f"{ADVERSE}, c = 0.5: AUC with enough, U r τ from 0.5 to 10, {many}, the least"
    enough = min(found[f"slow_0.5_strength_{x}_auc"] for x in (0.5, 1.0, 2.5, 10.0))
    grid = (
        "ratio of rates x c x fatigue: the analytic condition tells whether correlated slow inputs "
        "beat fast ones (share of the grid)"
    )
    made = [
        below("step-below", little, found["slow_0.5_strength_0.1_auc"], 0.6),
        above("step-above", same, enough, 0.95),
    ]
    grids = [above("condition", grid, found["condition_agreement"], 0.95)]
    if "threshold_4_0.5" in found:
        at, predicted = found["threshold_4_0.5"], found["threshold_4_0.5_predicted"]
        step = (
            f"the step (AUC against fast inputs of 0.5) is at the predicted U r τ = "
            f"{predicted:.2f}: it is at {at:.2f}; factor between them"
        )
        factor = max(at / predicted, predicted / at)
        grids.append(below("step-at", step, factor, 1.5))
    if "thresholds" in found:
        moves = "the fatigue that is needed depends on ratio and c as predicted (rank correlation)"
        exact = "the fatigue that is needed over what is predicted, or its inverse: median"
        rank, factor = found["threshold_rank_correlation"], found["threshold_factor"]
        grids.append(above("condition-moves", moves, rank, 0.95))
        grids.append(below("condition-exact", exact, factor, 1.25))
    return made + _about(few, *grids)


def _controls(found: Figures, many: str) -> list[Claim]:
    """Makes claims about where fatigue must act, and about classical STDP."""
    efficacy = max(found["both_efficacy_auc"], found["both_efficacy_auc_efficacy"])
    both = min(found[f"{place}_fstdp_auc"] for place in ("slow_0.5", "fast", "both"))
    only = (
        "half of the correlated inputs slow, half fast; fatigue of the efficacy only: AUC of "
        f"weights or of efficacies, {many}, the larger"
    )
    places = (
        "fatigue of efficacy and trace, correlated inputs slow, fast, or half and half: AUC of "
        f"weights, {many}, the least"
    )
    pair = f"{ADVERSE}, c = 0.5: AUC of classical pair STDP without fatigue, {many}"
    jitter, jittered = f"{pair}, common events jittered by 5 ms", "jitter_0.005_pair"
    return [
        below("efficacy-only", only, efficacy, 0.8),
        above("efficacy-and-trace", places, both, 0.99),
        below("pair-fooled", pair, found["slow_0.5_pair_auc"], 0.5),
        below("pair-fooled-jitter", jitter, found[f"{jittered}_auc"], 0.5),
    ]


def _covariance(found: Figures, many: str) -> list[Claim]:
    """Makes claims about what the weights read out."""
    half, few = "graded_half", "graded_few_fstdp"
    ranks = (
        f"{HALF}, U r τ = 4 of the slowest: rank correlation of FSTDP's weights with row sums of "
        f"the normalized covariance, {many}"
    )
    defaults = f"the same with the default fatigue, U r τ = 0.5 of the slowest, {many}"
    fewer = (
        f"{GRADED}, 40 of 200 inputs correlated (c = 0.5), default fatigue, {many}; perfect "
        f"selection alone gives at most {found[f'{few}_rank_of_members']:.2f}"
    )
    rates = f"{HALF}: rank correlation of STDP's weights with rates, {many}"
    return [
        above("ranks", ranks, found[f"{half}_deep_rank_with_covariance"], 0.8),
        above("ranks-defaults", defaults, found[f"{half}_fstdp_rank_with_covariance"], 0.8),
        above("ranks-few", fewer, found[f"{few}_rank_with_covariance"], 0.8),
        above("ranks-stdp", rates, found[f"{half}_stdp_rank_with_rate"], 0.8),
    ]


def _machinery(found: Figures) -> list[Claim]:
    """Makes claims about the agreement of engines, and the cost."""
    engines = (
        "event-driven and clocked engines: largest difference of a weight, the output spikes being "
        "the same (1 if not)"
    )
    cost = (
        "a simulated second of the event-driven layer costs a fixed part and one in proportion to "
        "synapses, or to input spikes: largest relative difference from that"
    )
    difference = found["engines_weight_difference"] if found["engines_same_spikes"] else 1.0
    misfit = max(found["synapse_cost_misfit"], found["spike_cost_misfit"])
    return _about(1, below("engines", engines, difference, 1e-9), below("cost", cost, misfit, 0.2))


def _devices(found: Figures, many: str) -> list[Claim]:
    """Makes claims about devices that are not ideal."""
    several = (
        f"{ADVERSE}: AUC lost with 7 pairs of phase-change devices per weight, {many}, most of c = "
        "0.1 to 0.8"
    )
    one = f"{ADVERSE}: AUC lost with one pair of such devices per weight, {many}"
    return [
        below("memristive", several, found["several_pairs_loss"], 0.03),
        below("memristive-one-pair", one, found["one_pair_loss"], 0.03),
    ]

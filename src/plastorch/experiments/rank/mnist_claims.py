"""Claims about rank coding on temporal MNIST, and whether a run supports them."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean

from torch import Tensor

from plastorch.engine.run import Claim, Record
from plastorch.experiments.claims import above, asserted, at_least, at_most, below
from plastorch.experiments.rank.frontier import sampling_error
from plastorch.experiments.rank.reading import least_rise
from plastorch.experiments.rank.work import answer_claims, training_claims

Figures = Mapping[str, float]
ONE_SPIKE = {"S4NN (Kheradpisheh and Masquelier 2020)": 0.974}
"""Accuracy on MNIST that a spiking network with one spike per neuron had before the paper."""
OTHER = {
    "time to first spike, trained from scratch (Che et al. 2024, after the paper)": 0.9948,
    "rate-coded spiking convolutions, which need all steps (Lee et al. 2016)": 0.9931,
}
"""Accuracy of other networks, about which the paper claims nothing."""
BETAS = ("lstm-rank", "lstm-beta5", "lstm-beta10")
"""Models by increasing weight of the entropy."""
EPOCHS = 3
"""Number of epochs over which figures of a training are averaged."""
FIRST_STEP = 0.9919
"""The paper's accuracy after the first step; its network and encoding are not known."""


def claims(
    figures: Figures,
    arrays: Mapping[str, Tensor],
    records: Sequence[Record],
    test_images: int,
    ordinary: bool,
) -> list[Claim]:
    """Returns the claims that the trained models can test; judged of ordinary runs only."""
    error = 3 * sampling_error(0.97, test_images)
    found = [
        *_convolutional_claims(figures),
        *_coarse_claims(figures),
        *_half_time_claims(figures),
        *_lstm_claims(figures),
        *_early_claims(figures),
        *_untrained_claims(figures),
        *_threshold_claims(arrays, error),
        *_entropy_claims(records),
        *_work_claims(records),
        *training_claims(records, ("lstm-rank",), "lstm-last"),
        *answer_claims(figures, "lstm-rank"),
    ]
    return asserted(found, ordinary)


def _convolutional_claims(figures: Figures) -> Iterator[Claim]:
    if "convolutional_accuracy" not in figures:
        return
    accuracy = figures["convolutional_accuracy"]
    statement = "convolutions and an LSTM, read at the first crossing: the paper's accuracy"
    yield at_least("crossing", statement, accuracy, FIRST_STEP, origin="paper")
    steps = figures["convolutional_mean_step"] + 1
    statement = "its answers take less than 2 of 20 steps on average"
    yield below("crossing-time", statement, steps, 2.0)
    first = figures["convolutional_first_accuracy"]
    statement = "all read after the first of 20 steps, where faint digits don't show yet"
    yield from asserted([at_least("first-of-20", statement, first, FIRST_STEP)], False)
    statement = "all read after the first of 20 steps: the paper's accuracy"
    yield at_least("first-of-20-paper", statement, first, FIRST_STEP, origin="paper")
    for name, published in (ONE_SPIKE | OTHER).items():
        statement = f"it is right more often than {name}"
        id_ = f"above-{name.split()[0].lower()}"
        yield from asserted([above(id_, statement, accuracy, published)], name in ONE_SPIKE)


def _coarse_claims(figures: Figures) -> Iterator[Claim]:
    if "convolutional_coarse_accuracy" in figures:
        first = figures["convolutional_coarse_first_accuracy"]
        statement = "convolutional, 5 coarse steps, all read after the first: the paper's accuracy"
        yield at_least("first-step", statement, first, FIRST_STEP)


def _half_time_claims(figures: Figures) -> Iterator[Claim]:
    """Claims answers in half the time, and nearly no loss against training at the last step."""
    share = figures.get("convolutional_answer_time")
    if share is not None:
        statement = "convolutions: answers take half the wall time of reading to the end; share"
        yield at_most("half-time", statement, share, 0.5)
    if {"lstm_rank_accuracy", "lstm_last_last_accuracy"} <= figures.keys():
        loss = figures["lstm_last_last_accuracy"] - figures["lstm_rank_accuracy"]
        statement = (
            "LSTM: its answers lose less than half a point against one trained as long at the last "
            "step, and read there; loss"
        )
        yield below("half-time-loss", statement, loss, 0.005)


def _lstm_claims(figures: Figures) -> Iterator[Claim]:
    if "lstm_rank_accuracy" not in figures:
        return
    accuracy, steps = figures["lstm_rank_accuracy"], figures["lstm_rank_mean_step"] + 1
    statement = "LSTM of 125 neurons: 95 % of its answers at the first crossing are right"
    yield at_least("lstm-accuracy", statement, accuracy, 0.95)
    statement = "LSTM: answers at the first crossing take less than 2 of 20 steps on average"
    yield below("lstm-time", statement, steps, 2.0)


def _early_claims(figures: Figures) -> Iterator[Claim]:
    """Claims what LSTMs reach whose objective or images were chosen on the images held out."""
    ending = "_validation_early_accuracy"
    found = {name.removesuffix(ending): v for name, v in figures.items() if name.endswith(ending)}
    if found.keys() <= {"lstm_rank", "lstm_beta5", "lstm_beta10", "lstm_last", "lstm_all"}:
        return
    best = max(found, key=lambda name: found[name])
    statement = (
        f"the best LSTM on the images held out ({best.replace('_', '-')}), answers after 1.7 of 20 "
        "steps on average: accuracy"
    )
    yield at_least("early", statement, figures[f"{best}_early_accuracy"], 0.963)


def _untrained_claims(figures: Figures) -> Iterator[Claim]:
    """Compares with the same network, trained as long at the last step or at all steps."""
    for other, words in (("lstm_last", "the last step"), ("lstm_all", "all steps")):
        if not {"lstm_rank_accuracy", f"{other}_accuracy"} <= figures.keys():
            continue
        mine, theirs = figures["lstm_rank_first_accuracy"], figures[f"{other}_first_accuracy"]
        statement = (
            f"after the first step it is right more often than if trained as long at {words}"
        )
        # The paper doesn't compare with training at all steps.
        yield above(
            f"first-{other[5:]}",
            statement,
            mine,
            theirs,
            origin="paper" if other == "lstm_last" else "ours",
        )


def _threshold_claims(arrays: Mapping[str, Tensor], error: float) -> Iterator[Claim]:
    for name in ("lstm-rank", "convolutional"):
        if f"{name}.curve" not in arrays:
            continue
        gain = least_rise(arrays[f"{name}.curve"][:, 1].tolist())
        statement = (
            f"{name}: a higher threshold is not less right, but for three standard errors; least "
            "rise"
        )
        yield at_least(f"{name}-threshold-accuracy", statement, gain, -error)


def _entropy_claims(records: Sequence[Record]) -> Iterator[Claim]:
    """Makes claims about the held-out images, after the last epochs."""
    courses = [[row for row in records if row["phase"] == name][-EPOCHS:] for name in BETAS]
    if not all(courses):
        return
    times, right = (
        [mean(float(row[f"validation_{kind}"]) for row in course) for course in courses]
        for kind in ("mean_step", "accuracy")
    )
    rise = least_rise(times)
    words = "the more entropy is rewarded, on images held out, the"
    statement = f"{words} later answers come: least rise of t*"
    yield above("entropy-time", statement, rise, 0.0, origin="paper")
    gain = right[-1] - right[0]
    statement = f"{words} more are right: rise from β = 0 to the largest"
    yield above("entropy-accuracy", statement, gain, 0.0, origin="paper")


def _work_claims(records: Sequence[Record]) -> Iterator[Claim]:
    """Claims that training needs less and less work, from the first epoch to the last three."""
    rows = [row for row in records if row["phase"] == "lstm-rank"]
    for what, field in (("steps are computed", "computed_steps"), ("seconds pass", "seconds")):
        if len(rows) > 3:
            share = mean(float(row[field]) for row in rows[-3:]) / float(rows[0][field])
            statement = f"fewer {what} in an epoch at the end of training than in the first; share"
            yield below(f"lstm-{field.split('_')[0]}", statement, share, 1.0, origin="paper")

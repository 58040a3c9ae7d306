"""Short-term plasticity: against loops over neurons and synapses, and figures on 8 x 8 digits."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from torch import Tensor

from plastorch.data.tasks.streams import TRANSFORMS, Transforms
from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream
from plastorch.spiking.naming import class_scores, name_neurons
from plastorch.spiking.shortterm.frames import run
from plastorch.spiking.shortterm.recognition import Classify, Digits, recognize, smoothed
from plastorch.spiking.shortterm.rule import (
    ShortTerm,
    compete,
    initial_state,
    scores,
    step,
    unit,
    update,
)

Array = NDArray[Any]
VARIANTS = [
    ShortTerm(kappa=9.0, gamma=0.4, tau=3.0),
    ShortTerm(kappa=9.0, gamma=0.4, tau=3.0, update="accumulate"),
    ShortTerm(kappa=9.0, gamma=0.4, tau=3.0, score="dot"),
    ShortTerm(kappa=2.0, gamma=0.4, tau=3.0, score="distance"),
    ShortTerm(kappa=9.0, gamma=0.4, tau=3.0, competition="hard"),
    ShortTerm(kappa=9.0, gamma=1.4, tau=3.0, site="neuron"),
    ShortTerm(kappa=9.0, gamma=0.1, tau=3.0, site="presynaptic"),
    ShortTerm(kappa=9.0, site="none"),
]


def inputs(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return unit(torch.rand(shape, generator=stream(seed), dtype=dtype))


def looped(x: Array, weight: Array, bias: Array, c: ShortTerm) -> tuple[Array, Array]:
    """One stream, written out: posteriors [T, K], and what each neuron adds to its weights last."""
    neurons, size = weight.shape
    synapses, trace, sums = np.zeros((neurons, size)), np.zeros(neurons), np.zeros(size)
    kept = math.exp(-1 / c.tau)
    posteriors = []
    for frame in x:
        u = np.empty(neurons)
        for k in range(neurons):
            own = {"synapse": kept * synapses[k], "presynaptic": kept * sums}
            efficacy = weight[k] + own.get(c.site, 0.0)
            norm = np.sqrt((efficacy**2).sum())
            score = {
                "cosine": efficacy @ frame / norm,
                "dot": efficacy @ frame,
                "distance": efficacy @ frame - norm**2 / 2,
            }[c.score]
            u[k] = bias[k] + c.kappa * score + (kept * trace[k] if c.site == "neuron" else 0)
        y = np.exp(u - u.max())
        y = y / y.sum() if c.competition == "soft" else (u == u.max()).astype(float)
        for k in range(neurons):
            for j in range(size):
                f = kept * synapses[k, j]
                seen = weight[k, j] + (f if c.update == "track" else 0)
                synapses[k, j] = f + c.gamma * y[k] * (frame[j] - seen)
        trace, sums = kept * trace + c.gamma * y, kept * sums + c.gamma * frame
        posteriors.append(y)
    last = {"synapse": synapses, "neuron": trace, "presynaptic": sums}
    return np.array(posteriors), last.get(c.site, np.zeros(0))


@pytest.mark.parametrize("constants", VARIANTS)
def test_frames_are_the_loops_that_the_equations_describe(constants: ShortTerm) -> None:
    weight, x = inputs(0, 5, 7), inputs(1, 30, 2, 7)
    bias = torch.randn(5, generator=stream(2), dtype=torch.float64)
    y, state = run(x, initial_state(2, weight, constants.site), weight, bias, constants)
    for s in range(2):
        expected, memory = looped(x[:, s].numpy(), weight.numpy(), bias.numpy(), constants)
        np.testing.assert_allclose(y[:, s].numpy(), expected, atol=1e-8)
        np.testing.assert_allclose(state.F[s].numpy(), memory, atol=1e-8)


@pytest.mark.parametrize("constants", VARIANTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_frames_are_steps_in_torch(constants: ShortTerm, dtype: torch.dtype) -> None:
    """From any state, in one piece or in two."""
    weight, x = inputs(3, 6, 10, dtype=dtype), inputs(4, 40, 3, 10, dtype=dtype)
    bias = weight.new_zeros(6)
    state = initial_state(3, weight, constants.site)
    noise = torch.randn(state.F.shape, generator=stream(5)).to(dtype)
    state = state._replace(F=state.F + 0.1 * noise)
    begun = state.F.clone()
    first, halfway = run(x[:15], state, weight, bias, constants)
    second, last = run(x[15:], halfway, weight, bias, constants)
    assert torch.equal(state.F, begun)
    assert last.F.dtype == first.dtype == dtype
    posteriors = []
    for frame in x:
        y, state = step(frame, state, weight, bias, constants)
        posteriors.append(y)
    exact = {"atol": 2e-5 if dtype == torch.float32 else 1e-7, "rtol": 0.0}
    torch.testing.assert_close(torch.cat([first, second]), torch.stack(posteriors), **exact)
    torch.testing.assert_close(last.F, state.F, **exact)


def test_streams_are_independent(monkeypatch: pytest.MonkeyPatch) -> None:
    """On one thread, or on two."""
    weight, x = inputs(6, 5, 8), inputs(7, 20, 3, 8)
    bias, c = weight.new_zeros(5), ShortTerm(kappa=20.0)
    together, _ = run(x, initial_state(3, weight), weight, bias, c)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    shared, _ = run(x, initial_state(3, weight), weight, bias, c)
    assert torch.equal(together, shared)
    for s in range(3):
        alone, _ = run(x[:, s : s + 1], initial_state(1, weight), weight, bias, c)
        torch.testing.assert_close(together[:, s : s + 1], alone)


def test_what_was_not_seen_again_decays_exponentially() -> None:
    """Neuron 0 sees its object once; then neuron 1 wins for sure."""
    weight, bias = torch.eye(2, 4).double(), torch.zeros(2).double()
    c = ShortTerm(kappa=200.0, gamma=0.5, tau=6.0)
    first = unit(torch.tensor([[1.0, 0.0, 0.5, 0.0]]).double())
    _, state = run(first.unsqueeze(0), initial_state(1, weight), weight, bias, c)
    later, _ = run(weight[1].expand(9, 1, -1), state, weight, bias, c)
    _, last = run(weight[1].expand(9, 1, -1), state, weight, bias, c)
    assert float(later[:, 0, 1].min()) > 0.999
    torch.testing.assert_close(last.F[0, 0], state.F[0, 0] * math.exp(-9 / 6))


def test_a_steady_winner_rests_where_gain_and_decay_say() -> None:
    """F of a certain winner that sees x for long: γ (x - W) / (1 - a (1 - γ)), or / (1 - a)."""
    weight, bias, x = inputs(8, 1, 5), torch.zeros(1).double(), inputs(9, 1, 5)
    for c, left in (
        (ShortTerm(gamma=0.3, tau=4.0), math.exp(-1 / 4) * 0.7),
        (ShortTerm(gamma=0.3, tau=4.0, update="accumulate"), math.exp(-1 / 4)),
    ):
        _, state = run(x.expand(300, 1, -1), initial_state(1, weight), weight, bias, c)
        torch.testing.assert_close(state.F[0], 0.3 * (x - weight) / (1 - left))


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0.1, 50), st.floats(1, 200))
def test_tracking_is_bounded_and_posteriors_are_probabilities(
    seed: int, gamma: float, tau: float, kappa: float
) -> None:
    """W + F stays between weights and inputs, whatever the gain."""
    weight, x = inputs(seed, 4, 6), inputs(seed + 1, 25, 2, 6)
    c = ShortTerm(kappa, gamma, tau)
    y, state = run(x, initial_state(2, weight), weight, weight.new_zeros(4), c)
    torch.testing.assert_close(y.sum(2), torch.ones(25, 2).double())
    assert float(y.min()) >= 0
    total = weight + state.F
    assert float(total.min()) > -1e-6 and float(total.max()) < 1 + 1e-6


def test_no_gain_is_no_short_term_part() -> None:
    weight, x = inputs(10, 5, 8), inputs(11, 20, 3, 8)
    bias = torch.arange(5.0).double()
    nothing, _ = run(x, initial_state(3, weight), weight, bias, ShortTerm(gamma=0.0))
    for site in ("none", "neuron", "presynaptic"):
        c = ShortTerm(gamma=0.0, site=site)
        same, _ = run(x, initial_state(3, weight, site), weight, bias, c)
        torch.testing.assert_close(nothing, same)


def test_posterior_is_bayes_for_gaussian_objects() -> None:
    weight, x = torch.randn(4, 6).double(), torch.randn(9, 6).double()
    variance, prior = 0.7, torch.tensor([0.1, 0.2, 0.3, 0.4]).double()
    c = ShortTerm(kappa=1 / variance, site="none", score="distance")
    y = compete(scores(x, initial_state(9, weight, "none"), weight, prior.log(), c))
    density = torch.distributions.Normal(weight, variance**0.5).log_prob(x.unsqueeze(1)).sum(2)
    expected = prior * density.exp()
    torch.testing.assert_close(y, expected / expected.sum(1, keepdim=True))


def test_known_objects_are_updated_alone() -> None:
    weight, x = inputs(12, 3, 5), inputs(13, 1, 5)
    state = update(x, torch.eye(3)[1:2].double(), initial_state(1, weight), weight, ShortTerm())
    assert bool((state.F[0, [0, 2]] == 0).all())
    torch.testing.assert_close(state.F[0, 1], 0.6 * (x[0] - weight[1]))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"kappa": 0.0}, "kappa is 0.0"),
        ({"tau": -1.0}, "tau is -1.0"),
        ({"gamma": -0.1}, "gamma is -0.1; expected 0 or more"),
        ({"gamma": math.nan}, "gamma is nan"),
        ({"update": "v1"}, "update is 'v1'; expected one of track, accumulate"),
        ({"site": "bias"}, "site is 'bias'"),
        ({"score": "angle"}, "score is 'angle'"),
        ({"competition": "max"}, "competition is 'max'"),
    ],
)
def test_bad_constants(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ShortTerm(**setting)


def test_bad_inputs() -> None:
    weight, bias = torch.rand(4, 6), torch.zeros(4)
    given = torch.zeros(3, 2, 6), initial_state(2, weight), weight, bias
    for place, part, words in (
        (0, torch.zeros(3, 2, 7), r"weight is \[4, 6\]; expected \[any, 7\]"),
        (1, initial_state(1, weight), r"F is \[1, 4, 6\]; expected \[2, 4, 6\]"),
        (1, initial_state(2, weight.double()), "F is torch.float64; expected torch.float32"),
        (2, weight / 0, "weight holds inf"),
        (3, bias[1:], r"bias is \[3\]; expected \[4\]"),
    ):
        damaged = (*given[:place], part, *given[place + 1 :])
        with pytest.raises(InputError, match=words):
            run(*damaged, ShortTerm())  # type: ignore[arg-type]


class EightByEight:
    """The benchmark in small: 1,200 digits of 8 x 8 pixels to learn from, 597 to test, and the
    centers of clusters as weights."""

    def __init__(self) -> None:
        digits = load_digits()
        images = torch.tensor(digits.images / 16, dtype=torch.float32)
        labels = torch.tensor(digits.target)
        order = np.random.default_rng(0).permutation(len(labels))
        train, test = torch.from_numpy(order[:1200]), torch.from_numpy(order[1200:])
        x = unit(images[train].flatten(1))
        clusters = KMeans(100, n_init=1, random_state=0).fit(x.numpy())
        self.weight = torch.from_numpy(clusters.cluster_centers_).float()
        won = torch.nn.functional.one_hot(torch.from_numpy(clusters.labels_).long(), 100)
        self.names = name_neurons(won.float(), labels[train], 10)
        self.test = Digits(images[test], labels[test])

    def classify(self, constants: ShortTerm) -> Classify:
        bias = torch.zeros(100)

        def of_frames(x: Tensor, state: Any) -> tuple[Tensor, Any]:
            if state is None:
                state = initial_state(x.shape[1], self.weight, constants.site)
            y, state = run(unit(x), state, self.weight, bias, constants)
            return class_scores(y, self.names, 10), state

        return of_frames

    def right(self, classify: Classify, transforms: Transforms) -> Tensor:
        return recognize(classify, self.test, transforms, streams=20, path=(0,))

    def accuracy(self, constants: ShortTerm, transforms: Transforms) -> tuple[float, float]:
        """Of all frames and of the middle half."""
        return accuracies(self.right(self.classify(constants), transforms))


def accuracies(right: Tensor) -> tuple[float, float]:
    frames = right.shape[1]
    middle = right[:, frames // 4 : frames - frames // 4]
    return float(right.float().mean()), float(middle.float().mean())


@pytest.fixture(scope="module")
def digits() -> EightByEight:
    return EightByEight()


STATIC = ShortTerm(kappa=40.0, site="none")
ACCUMULATING = ShortTerm(80.0, 0.3, 4.0, update="accumulate")


@pytest.mark.parametrize(
    ("constants", "reference", "tolerance"),
    [
        (STATIC, (0.654, 0.421), 0.06),
        (ACCUMULATING, (0.958, 0.967), 0.03),
        (ShortTerm(80.0, 0.3, 8.0), (0.972, 0.973), 0.03),
        (ShortTerm(80.0, 0.6, 8.0), (0.979, 0.980), 0.03),
        (ShortTerm(80.0, 0.9, 8.0), (0.979, 0.980), 0.03),
        (replace(ACCUMULATING, score="dot"), (0.956, 0.960), 0.03),
        # The reference let a frame's trace take effect before it decays.
        (ShortTerm(40.0, 2.0 * math.exp(0.5), 2.0, site="neuron"), (0.720, 0.554), 0.06),
    ],
)
def test_occluded_digits_are_recognized_as_by_the_reference(
    digits: EightByEight, constants: ShortTerm, reference: tuple[float, float], tolerance: float
) -> None:
    """Its test streams showed some hundred digits: standard errors of one to two points."""
    found = digits.accuracy(constants, TRANSFORMS["occlusion"])
    assert found == pytest.approx(reference, abs=tolerance)


def test_occlusion_costs_static_weights_twenty_points_and_forty_in_the_middle(
    digits: EightByEight,
) -> None:
    dynamic, middle = digits.accuracy(ACCUMULATING, TRANSFORMS["occlusion"])
    static, static_middle = digits.accuracy(STATIC, TRANSFORMS["occlusion"])
    assert dynamic >= static + 0.2 and middle >= static_middle + 0.4
    pre = ShortTerm(80.0, 0.3, 4.0, site="presynaptic")
    assert digits.accuracy(pre, TRANSFORMS["occlusion"])[0] < (static + dynamic) / 2


def test_averaging_over_time_gains_less_than_tracking(digits: EightByEight) -> None:
    static = digits.classify(STATIC)

    def logits(x: Tensor, state: Any) -> tuple[Tensor, Any]:
        shares, state = static(x, state)
        return shares.clamp(min=1e-30).log(), state

    for tau in (2.0, 8.0, 32.0):
        right = digits.right(smoothed(logits, tau), TRANSFORMS["occlusion"])
        assert (
            accuracies(right)[0] < digits.accuracy(ACCUMULATING, TRANSFORMS["occlusion"])[0] - 0.15
        )


def test_abrupt_change_is_worse_than_for_static_weights(digits: EightByEight) -> None:
    dynamic, _ = digits.accuracy(ACCUMULATING, TRANSFORMS["abrupt"])
    static, _ = digits.accuracy(STATIC, TRANSFORMS["abrupt"])
    assert dynamic < static
    assert (dynamic, static) == pytest.approx((0.213, 0.296), abs=0.06)


@pytest.mark.parametrize(("frames", "reference"), [(1, 0.963), (32, 0.987)])
def test_nothing_is_lost_where_nothing_changes(
    digits: EightByEight, frames: int, reference: float
) -> None:
    dynamic, _ = digits.accuracy(ACCUMULATING, Transforms(frames=frames))
    static, _ = digits.accuracy(STATIC, Transforms(frames=frames))
    assert dynamic >= static - 0.01
    assert dynamic == pytest.approx(reference, abs=0.04)

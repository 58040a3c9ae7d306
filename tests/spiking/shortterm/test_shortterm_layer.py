"""The layer with short-term plasticity: answers, long-term learning, and devices without a host."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import plastorch
from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream
from plastorch.spiking.shortterm import clocked
from plastorch.spiking.shortterm.course import SpikeTiming, encode
from plastorch.spiking.shortterm.events import learn
from plastorch.spiking.shortterm.frames import run
from plastorch.spiking.shortterm.layer import ShortTermWTA
from plastorch.spiking.shortterm.longterm import LongTerm, LongTermState
from plastorch.spiking.shortterm.rule import ShortTerm, Site, initial_state, step, unit

LEARNING, TIMING = (
    LongTerm(rate=0.2, decline=10.0, homeostasis=0.3, kappa=8.0),
    SpikeTiming(frame=0.1),
)


def layer(**short_term: Any) -> ShortTermWTA:
    return ShortTermWTA(
        6,
        4,
        short_term=ShortTerm(**short_term),
        long_term=LEARNING,
        timing=TIMING,
        generator=stream(14),
        dtype=torch.float64,
    )


def frames(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, 6, generator=stream(seed), dtype=torch.float64)


def parameters(net: ShortTermWTA, streams: int) -> LongTermState:
    return LongTermState(*(part.repeat(streams, *[1] * part.dim()) for part in net.parameters()))


def test_it_normalizes_and_takes_states() -> None:
    net, x = layer(kappa=30.0), 255 * frames(15, 12, 2)
    whole, _ = net(x)
    first, state = net(x[:5])
    second, _ = net(x[5:], state)
    torch.testing.assert_close(whole, torch.cat([first, second]))
    weight, bias = net.weight, torch.zeros(4).double()
    expected, _ = run(unit(x), initial_state(2, weight), weight, bias, net.short_term)
    torch.testing.assert_close(whole, expected)
    dark, _ = net(torch.zeros(1, 1, 6).double())
    torch.testing.assert_close(dark, torch.full((1, 1, 4), 0.25).double())
    torch.testing.assert_close(net.weight.norm(dim=1), torch.ones(4).double())
    assert [*net.state_dict()] == ["weight", "bias", "spikes"] == [*dict(net.named_parameters())]


def test_a_gradient_is_that_of_the_steps() -> None:
    net, x = layer(kappa=3.0).eval(), frames(17, 5, 2)
    given = x.clone().requires_grad_()
    posteriors, _ = net(given)
    torch.testing.assert_close(posteriors.detach(), net(x)[0])
    posteriors[:, :, 0].prod().backward()
    again, total = x.clone().requires_grad_(), torch.ones(()).double()
    state = initial_state(2, net.weight)
    for frame in unit(again):
        y, state = step(frame, state, net.weight, torch.zeros(4).double(), net.short_term)
        total = total * y[:, 0].prod()
    total.backward()
    assert given.grad is not None and bool(given.grad.any())
    torch.testing.assert_close(given.grad, again.grad)


@pytest.mark.parametrize("site", ["synapse", "neuron", "none"])
@pytest.mark.parametrize("shape", [(0, 2), (3, 0)])
def test_no_frame_or_stream_gives_no_posterior(site: Site, shape: tuple[int, int]) -> None:
    posteriors, state = layer(site=site)(frames(0, *shape))
    assert posteriors.shape == (*shape, 4) and len(state.F) == shape[1]


@pytest.mark.parametrize("score", ["cosine", "dot", "distance"])
def test_an_optimizer_makes_it_the_rule_from_spike_to_spike(score: Any) -> None:
    """One stream and a rate of 1, over three presentations of five frames."""
    net, x = layer(), frames(1, 15, 1)
    net.long_term = LongTerm(0.2, 10.0, 0.3, 8.0, score)
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    learned, trace, state = parameters(net, 1), torch.zeros(1, 6).double(), None
    for number, part in enumerate(x.split(5)):
        answer, _ = net(part, state)
        found = net.learn(part, state, generator=stream(2, number))
        assert torch.equal(found.output, answer)
        plastorch.set_gradients(net, found)
        optimizer.step()
        state = found.state
        course = encode(part, TIMING, stream(2, number))
        _, trace, learned = learn(course, trace, learned, net.long_term, TIMING)
        torch.testing.assert_close(state.trace, trace, rtol=0, atol=1e-9)
        for own, expected in zip(net.parameters(), learned, strict=True):
            torch.testing.assert_close(own.data, expected[0], rtol=0, atol=1e-9)
    assert float(net.spikes.sum()) == pytest.approx(1.5 * 200, abs=4.5 * math.sqrt(300))


def test_the_update_is_the_mean_over_the_streams() -> None:
    net, x = layer(), frames(3, 2, 5)
    updates = net.learn(x, generator=stream(4)).updates
    _, _, learned = learn(
        encode(x, TIMING, stream(4)),
        torch.zeros(5, 6).double(),
        parameters(net, 5),
        LEARNING,
        TIMING,
    )
    for (name, update), after in zip(updates.items(), learned, strict=True):
        torch.testing.assert_close(net.get_parameter(name) + update, after.mean(0))


def test_workers_average_their_means(monkeypatch: pytest.MonkeyPatch) -> None:
    net, updates = layer(), {"weight": torch.rand(4, 6)}
    monkeypatch.setattr("plastorch.learning.layer.workers", lambda: 2)
    torch.testing.assert_close(net.gradients(updates)["weight"], -updates["weight"] / 2)


def test_learning_changes_nothing_by_itself() -> None:
    net = layer()
    before = {name: part.clone() for name, part in net.state_dict().items()}
    net.learn(frames(5, 2, 3))
    assert all(torch.equal(before[name], part) for name, part in net.state_dict().items())
    plastorch.learn(net, frames(5, 2, 3))
    assert all(part.grad is not None for part in net.parameters())


def test_steps_of_time_teach_as_spikes_at_any_time_do() -> None:
    """Means over 400 streams of what each neuron learns and how often; limits of 4.5 errors."""
    net, x = layer(), frames(6, 2, 1).expand(-1, 400, -1)
    begun, trace = parameters(net, 400), torch.zeros(400, 6).double()
    _, _, spikes = learn(encode(x, TIMING, stream(7)), trace, begun, LEARNING, TIMING)
    options = {"constants": LEARNING, "timing": TIMING, "generator": stream(8)}
    _, steps = clocked.learn(x, trace, begun, **options)  # type: ignore[arg-type]
    for one, two in zip(spikes, steps, strict=True):
        error = ((one.var(0) + two.var(0)) / 400).sqrt()
        # A tenth of the spikes fall into a step that has one already.
        assert bool(
            ((one.mean(0) - two.mean(0)).abs() < 4.5 * error + 0.1 * one.mean(0).abs()).all()
        )


@pytest.mark.parametrize("site", ["synapse", "neuron", "presynaptic", "none"])
def test_it_learns_on_a_device_that_nobody_waits_for(site: Site) -> None:
    net = ShortTermWTA(6, 4, short_term=ShortTerm(site=site), device="meta")
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    answer, state = plastorch.learn(net, torch.rand(3, 2, 6, device="meta"))
    optimizer.step()
    assert answer.is_meta and answer.shape == (3, 2, 4) and state.trace.is_meta
    assert all(part.grad is not None and part.grad.is_meta for part in net.parameters())


@pytest.mark.parametrize("site", ["synapse", "neuron", "presynaptic", "none"])
def test_autocast_changes_nothing(site: Site) -> None:
    net, x = layer(site=site).float(), frames(3, 5, 2)
    expected = net.learn(x, generator=stream(4))
    with torch.autocast("cpu", torch.bfloat16):
        found, (answer, _) = net.learn(x, generator=stream(4)), net(x)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert torch.equal(answer, expected.output)


@pytest.mark.parametrize("site", ["synapse", "neuron", "presynaptic", "none"])
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_answers_and_learns(site: Site, kind: torch.dtype) -> None:
    net, x = layer(site=site, kappa=5.0), frames(3, 5, 2)
    exact, half = net(x)[0], net.to(kind)(x)[0]
    assert half.dtype == kind
    torch.testing.assert_close(half.double(), exact, rtol=0, atol=0.05)
    assert net.learn(x, generator=stream(4)).updates["weight"].isfinite().all()


@pytest.mark.parametrize("site", ["synapse", "neuron", "presynaptic", "none"])
def test_frames_that_are_not_finite(site: Site) -> None:
    with pytest.raises(InputError, match=r"x holds NaN|NaN or infinite values in x"):
        layer(site=site)(torch.full((3, 2, 6), math.inf))


def test_bad_inputs() -> None:
    net = layer()
    for x, state, words in (
        (torch.zeros(2, 6), None, "x has shape"),
        (torch.zeros(3, 2, 5), None, "expected real .T, S, 6."),
        (torch.full((3, 2, 6), math.nan), None, "x holds NaN|NaN .* in x"),
        (torch.zeros(3, 2, 6), initial_state(1, net.weight), "state has F of shape"),
        (
            torch.zeros(3, 2, 6),
            initial_state(2, net.weight.float()),
            "state has F of torch.float32; expected torch.float64",
        ),
        (torch.zeros(3, 2, 6), torch.zeros(2, 4, 6), "state is a Tensor; expected a ShortTermS"),
        (torch.zeros(3, 2, 6), net(frames(0, 1, 2))[1]._replace(trace=net.weight), "state has tr"),
    ):
        for use in (net.forward, net.learn):
            with pytest.raises(InputError, match=words):
                use(x, state)
    for empty in (torch.zeros(0, 2, 6), torch.zeros(3, 0, 6)):
        with pytest.raises(InputError, match=r"x has shape .*a frame and a stream"):
            net.learn(empty)
    with pytest.raises(InputError, match=r"values go from 0\.0 to 2\.0; expected 0 to 1"):
        net.learn(2 * torch.eye(6)[None])
    with pytest.raises(InputError, match="out_features is 0"):
        ShortTermWTA(6, 0)

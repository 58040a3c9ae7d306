"""Baselines: sizes as published, states that carry on, and what is corrected in them."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from plastorch.engine.errors import InputError
from plastorch.stp import STPN
from plastorch.stp.baselines import (
    LSTM,
    MLP,
    RNN,
    FastWeights,
    HebbFF,
    ModulatedPlasticity,
    Squashed,
    Stacked,
    modulated,
)
from plastorch.stp.baselines.modulated import ModulatedState
from plastorch.stp.energy import synaptic_energy

SYMBOLS = 37


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("core", "count"),
    [
        (RNN(SYMBOLS, 20), 1160),
        (LSTM(SYMBOLS, 9), 1692),
        (FastWeights(SYMBOLS, 20), 1200),
        (ModulatedPlasticity(SYMBOLS, 17), 1242),
        (HebbFF(SYMBOLS, 26), 990),
        (STPN(SYMBOLS, 13, plasticity="feedforward"), 1456),
        (STPN(SYMBOLS, 26, plasticity="feedforward", scalar=True), 990),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_number_of_parameters(core: nn.Module, count: int) -> None:
    """The paper's sizes for retrieval; a second bias that torch adds is not trained."""
    assert sum(p.numel() for p in core.parameters() if p.requires_grad) == count


CORES = [
    RNN(4, 3),
    RNN(4, 3, norm="neuron"),
    LSTM(4, 3),
    FastWeights(4, 3),
    FastWeights(4, 3, faithful=True),
    ModulatedPlasticity(4, 3),
    HebbFF(4, 3),
    Squashed(STPN(4, 3, plasticity="feedforward")),
]


@pytest.mark.parametrize("core", CORES, ids=lambda core: type(core).__name__)
def test_going_on_from_a_state_is_going_on(core: nn.Module) -> None:
    x = torch.randn(6, 2, 4)
    whole, last = core(x)
    first, state = core(x[:2])
    second, end = core(x[2:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(end, last)
    energy = core.energy(x)  # type: ignore[operator]
    parts = [core.energy(x[:2]), core.energy(x[2:], state)]  # type: ignore[operator]
    torch.testing.assert_close(torch.cat(parts), energy)
    assert bool((energy >= 0).all()) and energy.shape[:2] == (6, 2)


@pytest.mark.parametrize(
    "core", [*CORES, MLP(4, 3), Stacked(MLP(12, 3), 3)], ids=lambda core: type(core).__name__
)
def test_runs_on_meta_tensors(core: nn.Module) -> None:
    """Nothing waits for a value, so nothing stops a GPU."""
    core = deepcopy(core).to("meta")
    x = torch.randn(6, 2, 4, device="meta", requires_grad=True)
    output, state = core(x)
    core(x, state)[0].sum().backward()
    assert output.shape == (6, 2, 3) and x.grad is not None and x.grad.is_meta


def test_a_stacked_layer_sees_the_last_inputs_alone() -> None:
    layer, x = MLP(12, 3), torch.randn(6, 2, 4)
    core = Stacked(layer, 3)
    padded = torch.cat([torch.zeros(2, 2, 4), x])
    expected = [torch.tanh(layer.linear(torch.cat([*padded[t : t + 3]], dim=1))) for t in range(6)]
    torch.testing.assert_close(core(x)[0], torch.stack(expected))
    one, state = core(x[:1])
    other, end = core(x[1:], state)
    torch.testing.assert_close(torch.cat([one, other]), core(x)[0])
    assert torch.equal(end, x[-2:])


def test_rows_of_the_normalized_rnn_have_norm_one() -> None:
    core = RNN(4, 3, norm="neuron")
    weight = torch.cat([core.network.weight_ih_l0, core.network.weight_hh_l0], dim=1)
    torch.testing.assert_close(core.efficacy().norm(dim=1), torch.ones(3))
    x, h = torch.randn(1, 2, 4), torch.randn(2, 3)
    drive = torch.cat([x[0], h], dim=1) @ (weight / weight.norm(dim=1, keepdim=True)).mT
    torch.testing.assert_close(core(x, h)[0][0], torch.tanh(drive + core.network.bias_ih_l0))


def test_normalized_rnn_is_an_stpn_without_plasticity() -> None:
    core, unit = RNN(4, 3, norm="neuron"), STPN(4, 3)
    with torch.no_grad():
        cell = unit.cells[0]
        cell.weight.copy_(torch.cat([core.network.weight_ih_l0, core.network.weight_hh_l0], dim=1))
        cell.bias.copy_(core.network.bias_ih_l0)
        cell.weight_gamma.zero_()
    x = torch.randn(5, 2, 4)
    torch.testing.assert_close(core(x)[0], unit(x)[0])
    torch.testing.assert_close(core.energy(x), unit.energy(x))


def test_fast_weights_are_written_twice_by_the_papers_code_only() -> None:
    x = torch.randn(1, 1, 4)
    for faithful in (False, True):
        core = FastWeights(4, 3, faithful=faithful)
        output, state = core(x)
        h = output[0, 0]
        expected = 0.5 * torch.outer(h, h) if faithful else torch.zeros(3, 3)
        torch.testing.assert_close(state.A[0], expected)
        assert bool((core.layer_norm.weight == 1).all()) != faithful


def test_hebbff_starts_anti_hebbian_and_slow() -> None:
    for faithful, size in ((False, 4), (True, 3)):
        decay, rate = HebbFF(4, 3, faithful=faithful).cells[0].slow[2:]  # type: ignore[union-attr]
        torch.testing.assert_close(decay, torch.tensor([0.99]))
        torch.testing.assert_close(rate, torch.tensor([-5 / size]))


def test_squashing_changes_what_is_kept() -> None:
    unit = HebbFF(4, 3)
    x = torch.randn(3, 2, 4)
    plain, squashed = unit(x)[0], Squashed(unit)(x)[0]
    torch.testing.assert_close(plain[0], squashed[0])
    assert not torch.allclose(plain[1], squashed[1])


def test_energy_is_a_sum_over_synapses() -> None:
    efficacy, pre = torch.randn(2, 3, 4), torch.randn(2, 4)
    found = synaptic_energy(efficacy, pre)
    for b in range(2):
        for i in range(3):
            terms: list[Tensor] = [efficacy[b, i, j].abs() * pre[b, j] ** 2 for j in range(4)]
            torch.testing.assert_close(found[b, i], torch.stack(terms).sum())
    torch.testing.assert_close(synaptic_energy(efficacy[0], pre)[0], found[0])


def test_bad_norm() -> None:
    with pytest.raises(InputError, match="norm is 'rows'"):
        RNN(4, 3, norm="rows")  # type: ignore[arg-type]


@pytest.mark.parametrize("clamp", [0.3, 1.0])
def test_the_compiled_loop_of_modulated_plasticity_has_the_gradients_of_torchs(
    clamp: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where traces are clamped and where not, and of all inputs, states and parameters."""
    net = ModulatedPlasticity(5, 7, clamp=clamp).double()
    nn.init.uniform_(net.weight, -0.5, 0.5), nn.init.uniform_(net.alpha, -1, 1)
    x = torch.randn(30, 4, 5, dtype=torch.double, requires_grad=True)
    h, hebb = torch.randn(4, 7).double(), 0.2 * torch.randn(4, 7, 7).double()
    state = ModulatedState(h.requires_grad_(), hebb.requires_grad_())

    def results() -> list[torch.Tensor]:
        output, last = net(x, state)
        parts = [output, *last]
        wanted = [torch.arange(of.numel()).view_as(of).double().sin() for of in parts]
        return parts + list(torch.autograd.grad(parts, [x, *state, *net.parameters()], wanted))

    compiled = results()
    monkeypatch.setattr(modulated, "COURSE_BYTES", 0)
    plain = results()
    assert (plain[2].abs() == clamp).any() and (plain[2].abs() < clamp).any()
    for one, other in zip(compiled, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_modulated_plasticity_under_autocast_and_before_in_place_operations() -> None:
    net, x = ModulatedPlasticity(4, 3), torch.randn(5, 2, 4)
    plain = torch.autograd.grad(net(x)[0].relu().sum(), net.parameters())
    in_place = torch.autograd.grad(net(x)[0].relu_().sum(), net.parameters())
    assert all(torch.equal(one, other) for one, other in zip(plain, in_place, strict=True))
    with torch.autocast("cpu", torch.bfloat16):
        output, _ = net(x)
    torch.testing.assert_close(output.float(), net(x)[0], rtol=0.05, atol=0.02)


def test_states_that_do_not_fit_modulated_plasticity_are_torchs_errors() -> None:
    net, x = ModulatedPlasticity(5, 7), torch.randn(2, 4, 5)
    for state in (
        ModulatedState(torch.zeros(3, 7), torch.zeros(3, 7, 7)),
        ModulatedState(torch.zeros(4, 7), torch.zeros(4, 7, 6)),
    ):
        with pytest.raises(RuntimeError):
            net(x, state)

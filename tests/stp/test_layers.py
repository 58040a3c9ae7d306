"""The modules: as ``nn.LSTM`` users expect them, and clear about bad input."""

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import plastorch
from plastorch.engine.errors import InputError
from plastorch.stp import STPN, STPNCell, STPNState, unroll
from plastorch.stp.baselines import LSTM, RNN, FastWeights, HebbFF, ModulatedPlasticity


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def test_names_are_public() -> None:
    assert plastorch.STPN is STPN and plastorch.STPNCell is STPNCell


def test_layer_is_cells_in_a_row() -> None:
    """And the number of layers is the third argument, as it is nn.LSTM's."""
    layer = STPN(4, 3, 2)
    x = torch.randn(5, 2, 4)
    output, states = layer(x)
    for cell, state in zip(layer.cells, states, strict=True):
        assert isinstance(cell, STPNCell)
        x, expected = unroll(x, cell.initial_state(2), cell.slow, cell.dynamics)
        torch.testing.assert_close(state, expected)
    torch.testing.assert_close(output, x)


@pytest.mark.parametrize(
    "variant",
    [
        {},
        {"scalar": True},
        {"norm": "post"},
        {"presynaptic": "current"},
        {"plastic": "input"},
        {"clamp": 0.01},
    ],
)
def test_no_state_is_silent_neurons_and_empty_memories(variant: dict[str, Any]) -> None:
    """Of which one serves all samples; gradients are equal, and second ones exist."""
    layer = STPN(5, 7, **variant).double()
    x = torch.randn(40, 6, 5, dtype=torch.float64, requires_grad=True)
    empty = STPNState(x.new_zeros(6, 7), x.new_zeros(6, *layer.cells[0].memory_size))  # type: ignore[misc]
    found = []
    for state in (None, empty):
        output, after = layer(x, state)
        loss = output.square().sum() + after.F.sum()
        wanted = torch.autograd.grad(loss, [x, *layer.parameters()])
        found.append((output, after.h, after.F, *wanted))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)
    (first,) = torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)
    assert torch.autograd.grad(first.square().sum(), x)[0].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dropout_acts_between_layers_in_training_only(dtype: torch.dtype) -> None:
    layer = STPN(4, 3, 3, dropout=0.4, dtype=dtype)
    x, parts = torch.randn(5, 2, 4, dtype=dtype), []
    torch.manual_seed(1)
    output, states = layer(x)
    torch.manual_seed(1)
    part = x
    for place, cell in enumerate(layer.cells):
        if place:
            part = part * torch.empty_like(part).bernoulli_(0.6) / 0.6
        part, state = cell.run(part, None)  # type: ignore[operator]
        parts.append(state)
    torch.testing.assert_close((output, states), (part, tuple(parts)))
    plain = STPN(4, 3, 3, dtype=dtype)
    plain.load_state_dict(layer.state_dict())
    assert not torch.equal(output, plain(x)[0])
    assert torch.equal(layer.eval()(x)[0], plain(x)[0])


def test_dropout_in_torch_operations_is_the_same() -> None:
    """Compiled and plain path drop the same activities."""
    layer, x = STPN(4, 3, 2, dropout=0.5).double(), torch.randn(5, 2, 4).double()
    torch.manual_seed(1)
    output = layer(x)[0]
    torch.manual_seed(1)
    dropped = F.dropout(naive(layer, 0, x), 0.5)
    torch.testing.assert_close(output, naive(layer, 1, dropped))


def naive(layer: STPN, place: int, x: Tensor) -> Tensor:
    """Activities of a cell that starts empty, in torch operations."""
    cell = layer.cells[place]
    assert isinstance(cell, STPNCell)
    return unroll(x, cell.initial_state(x.shape[1]), cell.slow, cell.dynamics)[0]


def test_dropout_of_one_layer_warns() -> None:
    with pytest.warns(UserWarning, match="dropout is 0.5, but acts between layers only"):
        STPN(4, 3, dropout=0.5)


@pytest.mark.parametrize("lengths", [None, [2, 5]])
@pytest.mark.parametrize("settings", [{}, {"plasticity": "feedforward"}, {"norm": "post"}])
def test_runs_on_meta_tensors(settings: dict[str, str], lengths: list[int] | None) -> None:
    """Nothing waits for a value, so nothing stops a GPU."""
    layer = STPN(4, 3, 2, dropout=0.5, device="meta", **settings)  # type: ignore[arg-type]
    x = torch.randn(5, 2, 4, device="meta", requires_grad=True)
    output, states = layer(x, lengths=None if lengths is None else torch.tensor(lengths))
    output.sum().backward()
    assert output.shape == (5, 2, 3) and states[1].h.shape == (2, 3)
    assert x.grad is not None and all(p.grad is not None for p in layer.parameters())
    h, state = STPNCell(4, 3, device="meta")(x[0])
    h.sum().backward()
    assert h.shape == (2, 3) and state.F.shape == (2, 3, 7)


def test_cell_is_one_step_of_a_layer() -> None:
    layer = STPN(4, 3)
    cell = layer.cells[0]
    assert isinstance(cell, STPNCell)
    x = torch.randn(2, 2, 4)
    output, last = layer(x)
    h, state = cell(x[0])
    torch.testing.assert_close(h, output[0])
    h, state = cell(x[1], state)
    torch.testing.assert_close((h, state), (output[1], last))


def test_batch_first_and_single_sequences_are_the_same_numbers() -> None:
    layer = STPN(4, 3)
    x = torch.randn(5, 2, 4)
    output, state = layer(x)
    single, its_state = layer(x[:, 1])
    torch.testing.assert_close((single, its_state.F), (output[:, 1], state.F[1]))
    again, _ = layer(x[:, 1], STPNState(state.h[1], state.F[1]))
    torch.testing.assert_close(again, layer(x, state)[0][:, 1])
    torch.testing.assert_close(layer.energy(x[:, 1]), layer.energy(x)[:, 1])
    layer.batch_first = True
    torch.testing.assert_close(layer(x.transpose(0, 1))[0], output.transpose(0, 1))
    torch.testing.assert_close(layer.energy(x.transpose(0, 1)).shape, torch.Size([2, 5, 3]))


def test_going_on_from_a_state_is_going_on() -> None:
    layer = STPN(4, 3, num_layers=2)
    x = torch.randn(6, 2, 4)
    whole, last = layer(x)
    first, state = layer(x[:2])
    second, end = layer(x[2:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(end, last)


def test_truncated_backpropagation_stops_at_the_state() -> None:
    layer = STPN(4, 3)
    first = torch.randn(2, 1, 4, requires_grad=True)
    _, state = layer(first)
    layer(torch.randn(2, 1, 4), state.detach())[0].sum().backward()
    assert first.grad is None
    layer(torch.randn(2, 1, 4), layer(first)[1])[0].sum().backward()
    assert first.grad is not None and first.grad.abs().sum() > 0


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("batch_first", [False, True])
def test_packed_sequences(num_layers: int, batch_first: bool) -> None:
    layer = STPN(4, 3, num_layers=num_layers, batch_first=batch_first)
    x, lengths = torch.randn(5, 3, 4), torch.tensor([2, 5, 3])
    packed = pack_padded_sequence(
        x.transpose(0, 1) if batch_first else x, lengths, batch_first, enforce_sorted=False
    )
    output, state = layer(packed)
    padded, found = pad_packed_sequence(output, batch_first)
    assert torch.equal(found, lengths)
    states = [state] if num_layers == 1 else state
    for sample, length in enumerate(lengths.tolist()):
        alone = x[:length, sample : sample + 1]
        expected, last = layer(alone.transpose(0, 1) if batch_first else alone)
        row = padded[sample, :length] if batch_first else padded[:length, sample]
        torch.testing.assert_close(row, expected.flatten(0, 1))
        lasts = [last] if num_layers == 1 else last
        for one, other in zip(states, lasts, strict=True):
            torch.testing.assert_close(one.F[sample], other.F[0])
            torch.testing.assert_close(one.h[sample], other.h[0])


def test_lengths_may_come_in_any_order() -> None:
    layer = STPN(4, 3)
    x, lengths = torch.randn(5, 3, 4), torch.tensor([2, 5, 3])
    output, state = layer(x, lengths=lengths)
    packed, packed_state = layer(pack_padded_sequence(x, lengths, enforce_sorted=False))
    torch.testing.assert_close(output, pad_packed_sequence(packed)[0])
    torch.testing.assert_close(state, packed_state)


def test_generator_alone_gives_the_first_parameters() -> None:
    first, second = (STPN(4, 3, 2, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_state_dict_and_copies_carry_everything() -> None:
    layer, other = STPN(4, 3, num_layers=2), STPN(4, 3, num_layers=2)
    x = torch.randn(5, 2, 4)
    other.load_state_dict(layer.state_dict())
    for twin in (other, copy.deepcopy(layer)):
        assert torch.equal(twin(x)[0], layer(x)[0])


def test_parameters_start_as_published() -> None:
    torch.manual_seed(0)
    layer = STPN(400, 100)
    weight, bias, decay, rate = (tensor.detach() for tensor in layer.cells[0].slow)
    for tensor, low, high in (
        (weight, -0.1, 0.1),
        (bias, -0.1, 0.1),
        (decay, 0.0, 1.0),
        (rate, -1e-4, 1e-4),
    ):
        assert low <= tensor.min() and tensor.max() <= high
        if tensor.numel() > 1000:
            mean, sd = (low + high) / 2, (high - low) / 12**0.5
            assert abs(float(tensor.mean()) - mean) < 4 * sd / tensor.numel() ** 0.5
            assert float(tensor.std()) == pytest.approx(sd, rel=0.02)
    feedforward = STPN(400, 100, plasticity="feedforward")
    assert float(feedforward.cells[0].weight.detach().abs().max()) <= 0.05


@pytest.mark.parametrize(
    ("settings", "count"),
    [({}, 1595), ({"hidden_size": 20, "scalar": True}, 1162), ({"bias": False}, 1584)],
)
def test_number_of_parameters(settings: dict[str, object], count: int) -> None:
    """The paper's retrieval units."""
    layer = STPN(37, **({"hidden_size": 11} | settings))  # type: ignore[arg-type]
    assert sum(parameter.numel() for parameter in layer.parameters()) == count


def test_meta_device_has_shapes_only() -> None:
    layer = STPN(4, 3, device="meta")
    output, state = layer(torch.empty(5, 2, 4, device="meta"))
    assert output.shape == (5, 2, 3) and state.F.shape == (2, 3, 7) and output.is_meta
    energy = layer.energy(torch.empty(5, 2, 4, device="meta"))
    assert energy.shape == (5, 2, 3) and energy.is_meta


@pytest.mark.parametrize("strict", [True, False])
def test_export(strict: bool) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = STPN(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            output: Tensor = self.layer(x)[0]
            return output

    model, x = Model(), torch.randn(5, 2, 4)
    exported = torch.export.export(model, (x,), strict=strict).module()
    x = torch.randn(5, 2, 4)
    torch.testing.assert_close(exported(x), model(x))
    x[2, 0, 1] = torch.inf
    output = exported(x)
    assert output[2:, 0].isnan().all() and output[:, 1].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_runs(dtype: torch.dtype) -> None:
    output, state = STPN(4, 3, dtype=dtype)(torch.randn(5, 2, 4, dtype=dtype))
    assert output.dtype == state.F.dtype == dtype
    assert output.isfinite().all()


SHARED = {"scalar": True, "plasticity": "feedforward"}
"""Settings for which a sequence is run in chunks of steps."""


def chunked() -> STPN:
    layer = STPN(4, 3, **SHARED)  # type: ignore[arg-type]
    nn.init.constant_(layer.get_parameter("cells.0.weight_lambda"), 0.9)
    return layer


@pytest.mark.parametrize("make", [lambda: STPN(4, 3), chunked], ids=["steps", "chunks"])
@pytest.mark.parametrize("lengths", [None, torch.tensor([5, 2])], ids=["whole", "padded"])
def test_in_place_operations_behind_a_layer_change_nothing_else(
    make: Callable[[], STPN], lengths: Tensor | None
) -> None:
    layer, x = make(), torch.randn(5, 2, 4)
    found = []
    for relu in (F.relu, F.relu_):
        output, state = layer(x, lengths=lengths)
        before = state.h.clone()
        output = relu(output)
        assert torch.equal(state.h, before)
        loss = (output * torch.arange(30.0).view(5, 2, 3)).sum() + state.h.sum()
        found.append(torch.autograd.grad(loss, layer.parameters()))
    for plain, in_place in zip(*found, strict=True):
        assert torch.equal(plain, in_place)


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("make", [lambda: STPN(4, 3), chunked], ids=["steps", "chunks"])
@pytest.mark.parametrize("training", [False, True])
def test_outputs_and_states_are_tensors_of_their_own(
    steps: int, make: Callable[[], STPN], training: bool
) -> None:
    """In the size of their files, too."""
    with torch.set_grad_enabled(training):
        output, state = make()(torch.randn(steps, 2, 4))
    for tensor in (output, *state):
        assert tensor.untyped_storage().nbytes() == tensor.nbytes
    before = state.h.clone()
    output.detach().zero_()
    assert torch.equal(state.h, before) and before.any()


def test_states_are_loaded_as_torch_loads_by_default() -> None:
    _, states = STPN(4, 3, 2)(torch.randn(5, 2, 4))
    file = io.BytesIO()
    torch.save([state.detach() for state in states], file)
    file.seek(0)
    for state, loaded in zip(states, torch.load(file, weights_only=True), strict=True):
        assert isinstance(loaded, STPNState)
        assert torch.equal(loaded.h, state.h) and torch.equal(loaded.F, state.F)


@pytest.mark.parametrize("form", ["steps", "chunks", "torch"])
@torch.no_grad()
def test_autocast_converts_inputs_and_computes_as_without_it(form: str) -> None:
    layer = chunked() if form == "chunks" else STPN(4, 3, bias=False)
    cell, run = layer.cells[0], layer
    if form == "torch":
        run = torch.compile(layer, backend="eager")  # type: ignore[assignment]
    x = torch.randn(5, 2, 4, dtype=torch.bfloat16)
    expected, state = layer(x.float())
    further = layer(x.float(), state)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(run(x), (expected, state))
        torch.testing.assert_close(run(x, state), further)
        narrow = STPNState(*(part.bfloat16() for part in state))
        torch.testing.assert_close(run(x, narrow), further, rtol=0.02, atol=0.02)
        torch.testing.assert_close(cell(x[0])[0], expected[0])  # type: ignore[operator]


def test_autocast_leaves_second_derivatives_alone() -> None:
    layer, x = STPN(4, 3), torch.randn(5, 2, 4, requires_grad=True)

    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            (slope,) = torch.autograd.grad(layer(x)[0].sum(), x, create_graph=True)
        found.append(torch.autograd.grad(slope.square().sum(), layer.parameters()))
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("core", [STPN(4, 3, 2), ModulatedPlasticity(4, 3)])
def test_transforms_of_torch_func(core: nn.Module) -> None:
    """Gradients per sample add up to that of the mini-batch, as autograd finds it."""
    x, names = torch.randn(5, 2, 4), dict(core.named_parameters())

    def loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        output: Tensor = torch.func.functional_call(core, parameters, (x,))[0]
        return output.square().sum()

    exact = torch.autograd.grad(loss(names, x), list(names.values()))
    whole = torch.func.grad(loss)(names, x)
    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 1))(names, x.unsqueeze(2))
    for name, wanted in zip(names, exact, strict=True):
        torch.testing.assert_close(whole[name], wanted, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(each[name].sum(0), wanted, rtol=1e-4, atol=1e-5)


def test_a_step_without_gradients_is_mapped() -> None:
    cell, x = STPNCell(4, 3), torch.randn(6, 2, 4)
    with torch.no_grad():
        mapped = torch.func.vmap(lambda x: cell(x)[0])(x)
    torch.testing.assert_close(mapped, torch.stack([cell(each)[0] for each in x]))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"input_size": 0}, "input_size is 0"),
        ({"hidden_size": -1}, "hidden_size is -1"),
        ({"num_layers": 0}, "num_layers is 0"),
        ({"num_layers": True}, "num_layers is True; expected a whole number"),
        ({"hidden_size": 3.0}, "hidden_size is 3.0; expected a whole number"),
        ({"batch_first": 2}, "batch_first is 2; expected True or False"),
        ({"plasticity": "both"}, "plasticity is 'both'"),
        ({"norm": "max"}, "norm is 'max'"),
        ({"clamp": -1.0}, "clamp is -1.0"),
        ({"dropout": 1.5}, "dropout is 1.5; expected 0 to 1"),
        ({"dropout": True}, "dropout is True; expected 0 to 1"),
        ({"dropout": "half"}, "dropout is 'half'; expected 0 to 1"),
    ],
)
def test_bad_settings(settings: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        STPN(**({"input_size": 4, "hidden_size": 3} | settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        lambda: STPN(4, 3, 1, True),  # type: ignore[misc]
        lambda: STPNCell(4, 3, True),  # type: ignore[misc]
        lambda: RNN(4, 3, 2),  # type: ignore[misc]
        lambda: LSTM(4, 3, 2),  # type: ignore[call-arg]
        lambda: FastWeights(4, 3, 2),  # type: ignore[misc]
        lambda: ModulatedPlasticity(4, 3, 2),  # type: ignore[misc]
        lambda: HebbFF(4, 3, 2),  # type: ignore[misc]
    ],
)
def test_settings_are_given_by_name(make: Callable[[], nn.Module]) -> None:
    """What nn.LSTM or nn.RNN takes in that place would mean something else here."""
    with pytest.raises(TypeError, match="positional arguments"):
        make()


def state_of(h: tuple[int, ...], memory: tuple[int, ...], **kind: object) -> STPNState:
    return STPNState(torch.zeros(h, **kind), torch.zeros(memory, **kind))  # type: ignore[call-overload]


GOOD = torch.zeros(5, 2, 4)


@pytest.mark.parametrize(
    ("x", "state", "lengths", "words"),
    [
        (torch.zeros(5, 2, 6), None, None, r"x has shape \(5, 2, 6\); expected 4 features"),
        (torch.zeros(4), None, None, r"x has shape \(4,\)"),
        (torch.zeros(0, 2, 4), None, None, r"\(0, 2, 4\); expected at least one step"),
        (torch.zeros(5, 0, 4), None, None, r"\(5, 0, 4\); expected at least one step"),
        (GOOD.double(), None, None, "x is torch.float64; expected torch.float32"),
        (GOOD.to("meta"), None, None, "x is on meta; expected cpu"),
        (GOOD, state_of((3, 3), (3, 3, 7)), None, r"state.h has shape \(3, 3\); expected \(2, 3\)"),
        (GOOD, state_of((2, 3), (2, 3, 4)), None, r"state.F has shape \(2, 3, 4\)"),
        (GOOD, state_of((2, 3), (2, 3, 7), dtype=torch.float64), None, "state.h is torch.float64"),
        (GOOD, state_of((2, 3), (2, 3, 7), device="meta"), None, "state.h is on meta"),
        (GOOD, torch.zeros(2, 3), None, "state is a Tensor"),
        (GOOD, (torch.zeros(2, 3), None), None, "state.F is a NoneType; expected a tensor"),
        (GOOD, None, torch.tensor([5, 0]), "lengths are from 0 to 5; expected 1 to 5"),
        (GOOD, None, torch.tensor([6, 1]), "lengths are from 1 to 6"),
        (GOOD, None, torch.tensor([5]), r"lengths have shape \(1,\)"),
        (GOOD, None, torch.tensor([5.0, 1.0]), "whole numbers"),
        (GOOD, None, torch.tensor([5, 1], dtype=torch.complex64), "whole numbers"),
        (GOOD, None, torch.tensor([True, True]), "type torch.bool; expected .* whole numbers"),
        (GOOD, None, [5, 1], "lengths are a list; expected a tensor of whole numbers"),
    ],
)
def test_bad_input(x: Tensor, state: object, lengths: Tensor | None, words: str) -> None:
    layer = STPN(4, 3)
    with pytest.raises(InputError, match=words):
        layer(x, state, lengths)  # type: ignore[arg-type]
    if lengths is None:
        with pytest.raises(InputError, match=words):
            layer.energy(x, state)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [torch.nan, -torch.inf])
@pytest.mark.parametrize(
    "name", ["x", "state.h", "state.F", "weight", "bias", "weight_lambda", "weight_gamma"]
)
def test_what_is_not_finite_is_refused(name: str, number: float) -> None:
    layer, x = STPN(4, 3), torch.zeros(5, 2, 4)
    state = layer(x)[1].detach()
    tensors = {"x": x, "state.h": state.h, "state.F": state.F}
    tensors |= {name: part.detach() for name, part in layer.cells[0].named_parameters()}
    tensors[name].flatten()[-1] = number
    with pytest.raises(InputError, match=f"^{name} holds"):
        layer(x, state)
    with pytest.raises(InputError, match=f"in {name};"):
        layer.energy(x, state)


def test_lengths_that_change_before_the_gradient_are_refused() -> None:
    """Compiled code would leave its arrays."""
    lengths = torch.tensor([5, 2])
    output, _ = STPN(4, 3)(GOOD, lengths=lengths)
    lengths += 10**6
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_parameters_of_another_size_or_type_are_refused() -> None:
    for name, tensor, words in (
        ("weight", torch.zeros(2, 7), r"weight is \[2, 7\]; expected \[3, 7\]"),
        ("weight_gamma", torch.zeros(3, 4), r"weight_gamma is \[3, 4\]; expected \[3, 7\]"),
        ("bias", torch.zeros(3, dtype=torch.float64), "bias is torch.float64"),
    ):
        layer = STPN(4, 3)
        setattr(layer.cells[0], name, nn.Parameter(tensor))
        with pytest.raises(InputError, match=words):
            layer(GOOD)


def test_bad_input_of_cells_and_stacks() -> None:
    with pytest.raises(InputError, match=r"x has shape \(1, 2, 4\); expected \(B, 4\)"):
        STPNCell(4, 3)(torch.zeros(1, 2, 4))
    stack = STPN(4, 3, num_layers=2)
    with pytest.raises(InputError, match="state has 3 layers; expected 2"):
        stack(GOOD, (None, None, None))
    packed = pack_padded_sequence(GOOD, torch.tensor([5, 2]))
    with pytest.raises(InputError, match="lengths are given with a packed sequence"):
        stack(packed, None, torch.tensor([5, 2]))

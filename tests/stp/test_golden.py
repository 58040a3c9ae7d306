"""Golden vectors computed by the STPN paper's own code in double precision.

For units and baselines, every case's outputs, last state, energies and gradients are compared.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.stp import STPN, Dynamics, Parameters, STPNState, step, unroll
from plastorch.stp.baselines import LSTM, RNN, FastWeights, HebbFF, ModulatedPlasticity, Squashed
from plastorch.stp.energy import synaptic_energy

Case = dict[str, Any]
NORMS = {"pre": "pre", "post": "post", "G_only": "efficacy", "none": "none", None: "none"}
CELL = ("weight", "bias", "weight_lambda", "weight_gamma")


def of(wanted: Callable[[Case], bool]) -> Any:
    def mark(function: Any) -> Any:
        function.golden = "stpn", wanted
        return function

    return mark


def tensor(value: Any) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def close(actual: Tensor, expected: Any) -> None:
    torch.testing.assert_close(actual.detach().double(), tensor(expected), rtol=1e-10, atol=1e-10)


class Net(nn.Module):
    """A core and the linear layers on top of it, with the golden names of the latter."""

    def __init__(self, core: nn.Module, names: dict[str, str], case: Case) -> None:
        super().__init__()
        self.core = core.double()
        self.names = names
        """Golden name of a parameter to ours."""
        self.case = case
        for name, value in case["params"].items():
            head = name.split(".")[0]
            if head in ("hidden2tag", "h2o", "h2v") and name.endswith("weight"):
                layer = nn.Linear(len(value[0]), len(value)).double()
                self.add_module(head, layer)
        with torch.no_grad():
            for golden, value in case["params"].items():
                target = self.parameter(golden)
                target.copy_(self.ours(golden, tensor(value)).view_as(target))

    def parameter(self, golden: str) -> Tensor:
        name = golden if golden.split(".")[0] in dict(self.named_children()) else self.names[golden]
        return dict(self.named_parameters())[name]

    def ours(self, golden: str, value: Tensor) -> Tensor:
        """The parameter in our layout; the paper's RNN multiplies from the right."""
        return (
            value.mT if "weight_layout" in self.case["config"] and "rnn.weight" in golden else value
        )

    def check_gradients(self) -> None:
        for golden, expected in self.case["grads"].items():
            actual = self.parameter(golden).grad
            if expected is None:
                assert actual is None
            else:
                assert actual is not None
                close(actual, self.ours(golden, tensor(expected)).view_as(actual).tolist())


def unit(case: Case) -> STPN:
    """The unit of a case that our constructor can make."""
    config, sizes = case["config"], case["dims"]
    feedforward = (
        config["presynaptic"] == "x" if "presynaptic" in config else "stpnf" in case["name"]
    )
    return STPN(
        sizes["I"],
        sizes["H"],
        plasticity="feedforward" if feedforward else "recurrent",
        norm=NORMS[config["norm"]],
        clamp=config.get("clamp", float("inf")),
        scalar=config.get("lambda_gamma") == "scalar",
        presynaptic="current" if config.get("presynaptic") == "new_h" else "previous",
        plastic=config.get("plastic", "all"),
        bias=config.get("bias_used", True),
    )


def cell_names(case: Case, prefix: str) -> dict[str, str]:
    return {
        f"{prefix}{name}": f"core.cells.0.{name}"
        for name in CELL
        if f"{prefix}{name}" in case["params"]
    }


def without_unused(case: Case) -> Case:
    """The same without the parameters that have no effect: a bias that the paper's code drops."""
    used = {name for name, grad in case["grads"].items() if grad is not None}
    return case | {
        key: {name: value for name, value in case[key].items() if name in used}
        for key in ("params", "grads")
    }


def layer_net(case: Case) -> Net:
    case = without_unused(case)
    if case["name"] == "hebbff_maze":
        names = {f"rnn.{name}": f"core.cells.0.{name}" for name in ("weight", "bias")}
        names |= {
            "rnn._weight_lambda": "core.cells.0.weight_lambda",
            "rnn._weight_gamma": "core.cells.0.weight_gamma",
        }
        return Net(HebbFF(case["dims"]["I"], case["dims"]["H"]), names, case)
    return Net(unit(case), cell_names(case, "rnn."), case)


@of(
    lambda case: (
        "C" in case.get("inputs", {})
        and "fastweights" not in case["name"]
        and not {"rule", "update"} & set(case.get("config", {}))
    )
)
def test_golden_layers(case: Case) -> None:
    net = layer_net(case)
    x, c, d = (tensor(case["inputs"][name]) for name in ("x", "C", "D"))
    output, state = net.core(x)
    ((c * output).sum() + (d * state.F).sum()).backward()
    close(output, case["outputs"]["h_seq"])
    close(net.core(x[:1])[1].F, case["outputs"]["F_after_first_step"])
    close(state.h, case["final_state"]["h"])
    close(state.F, case["final_state"]["F"])
    close(net.core.energy(x), case["energy"])
    net.check_gradients()


@of(lambda case: bool({"rule", "update"} & set(case.get("config", {}))))
def test_golden_other_rules(case: Case) -> None:
    config = case["config"]
    dynamics = Dynamics(
        norm=NORMS[config["norm"]],
        rule=config.get("rule", "hebb"),
        decay="after" if config.get("update") == "prompt_decay" else "with",
    )
    leaves = [tensor(case["params"][f"rnn.{name}"]).requires_grad_() for name in CELL]
    x, c, d = (tensor(case["inputs"][name]) for name in ("x", "C", "D"))
    batch, size = d.shape[:2]
    start = STPNState(x.new_zeros(batch, size), torch.zeros_like(d))
    output, state = unroll(x, start, Parameters(*leaves), dynamics)
    ((c * output).sum() + (d * state.F).sum()).backward()
    close(output, case["outputs"]["h_seq"])
    close(state.F, case["final_state"]["F"])
    first, response = step(x[0], start, Parameters(*leaves), dynamics)
    close(first.F, case["outputs"]["F_after_first_step"])
    close(synaptic_energy(response.efficacy, response.pre), case["energy"][0])
    for name, leaf in zip(CELL, leaves, strict=True):
        assert leaf.grad is not None
        close(leaf.grad, case["grads"][f"rnn.{name}"])


@of(lambda case: case["name"].startswith("simple"))
def test_golden_standalone(case: Case) -> None:
    net = Net(unit(case), cell_names(case, ""), case)
    x, labels = tensor(case["inputs"]["x"]).transpose(0, 1), torch.tensor(case["inputs"]["labels"])
    output, state = net.core(x)
    logits = net.hidden2tag(output[-1])
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    close(loss, case["loss_value"])
    close(logits, case["outputs"]["logits"])
    close(output, case["outputs"]["h_seq"])
    close(net.core(x[:1])[1].F, case["outputs"]["F_after_first_step"])
    close(state.F, case["final_state"]["F"])
    net.check_gradients()
    output, again = net.core(x, state)
    close(net.hidden2tag(output[-1]), case["second_pass_from_final_state"]["logits"])
    close(again.h, case["second_pass_from_final_state"]["h"])
    close(again.F, case["second_pass_from_final_state"]["F"])


def baseline(case: Case) -> tuple[nn.Module, dict[str, str]]:
    """A retrieval network's core, and where its parameters are."""
    sizes = case["dims"]
    inputs, hidden = sizes["I"], sizes["H"]
    kind = case["name"].removeprefix("art_").removeprefix("maze_")
    if kind.startswith("fastweights"):
        names = {f"rnn.{name}": f"core.linear.{name}" for name in ("weight", "bias")}
        names |= {
            f"rnn.layer_norm.{name}": f"core.layer_norm.{name}" for name in ("weight", "bias")
        }
        return FastWeights(inputs, hidden, faithful="double" in kind), names
    names = {"w": "weight", "alpha": "alpha"}
    for golden, ours in (("i2h", "input"), ("h2DA", "modulator")):
        names |= {f"{golden}.{name}": f"{ours}.{name}" for name in ("weight", "bias")}
    prefix = "rnn." if case["name"].startswith("art") else ""
    names = {f"{prefix}{golden}": f"core.{ours}" for golden, ours in names.items()}
    return ModulatedPlasticity(inputs, hidden), names


def retrieval_net(case: Case) -> Net:
    case = without_unused(case)
    if "stpnr" in case["name"]:
        return Net(unit(case), cell_names(case, "rnn."), case)
    if "stpnf" in case["name"]:
        names = {
            golden: ours.replace("core", "core.unit")
            for golden, ours in cell_names(case, "rnn.").items()
        }
        return Net(Squashed(unit(case)), names, case)
    if "hebbff" in case["name"]:
        names = {f"rnn.{name}": f"core.unit.cells.0.{name}" for name in ("weight", "bias")}
        names |= {
            f"rnn._{name}": f"core.unit.cells.0.{name}"
            for name in ("weight_lambda", "weight_gamma")
        }
        return Net(Squashed(HebbFF(case["dims"]["I"], case["dims"]["H"])), names, case)
    return Net(*baseline(case), case)


def check_energy(case: Case, energy: Tensor) -> None:
    """Energy [T, B, neurons] with the sums and the order of a case."""
    summed = case["energy_dims"].startswith("(B,T)")
    close(energy.sum(-1).mT if summed else energy, case["energy"])


@of(
    lambda case: (
        case["name"].startswith("art")
        and "labels" in case.get("inputs", {})
        and not any(name in case["name"] for name in ("lstm", "rnn"))
    )
)
def test_golden_retrieval(case: Case) -> None:
    net = retrieval_net(case)
    x, labels = tensor(case["inputs"]["x"]).transpose(0, 1), torch.tensor(case["inputs"]["labels"])
    output, state = net.core(x)
    logits = net.hidden2tag(output[-1])
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    close(loss, case["loss_value"])
    close(logits, case["outputs"]["logits"])
    last = list(case["final_state"].values())  # the memory alone, for feed-forward units
    for found, expected in zip(state[-len(last) :], last, strict=True):
        close(found, expected)
    check_energy(case, net.core.energy(x))
    net.check_gradients()


@of(lambda case: case["name"] == "fastweights_single_update")
def test_golden_fast_weights(case: Case) -> None:
    net = Net(*baseline(case), case)
    x, c, d = (tensor(case["inputs"][name]) for name in ("x", "C", "D"))
    output, state = net.core(x)
    ((c * output).sum() + (d * state.A).sum()).backward()
    close(output, case["outputs"]["h_seq"])
    close(state.A, case["final_state"]["F"])
    close(net.core.energy(x), case["energy"])
    net.check_gradients()


def load_static(core: RNN | LSTM, params: dict[str, Tensor]) -> None:
    """Golden parameters of RNNs and LSTMs, which come in four forms, in ours."""
    inputs = core.input_size
    if "w" in params:  # maze RNN
        parts = params["i2h.weight"], params["w"], params["i2h.bias"]
    elif "lstm.weight_ih" in params:
        bias = params["lstm.bias_ih"] + params["lstm.bias_hh"]
        parts = params["lstm.weight_ih"], params["lstm.weight_hh"], bias
    else:
        weight = params["rnn.weight"] if isinstance(core, LSTM) else params["rnn.weight"].mT
        parts = weight[:, :inputs], weight[:, inputs:], params["rnn.bias"]
    with torch.no_grad():
        for name, value in zip(("weight_ih_l0", "weight_hh_l0", "bias_ih_l0"), parts, strict=True):
            getattr(core.network, name).copy_(value)


def static_core(case: Case) -> tuple[RNN | LSTM, dict[str, Tensor]]:
    sizes, params = case["dims"], {k: tensor(v) for k, v in case["params"].items()}
    core: RNN | LSTM
    if "lstm" in case["name"]:
        core = LSTM(sizes["I"], sizes["H"]).double()
    else:
        norm = "input" if "weightnorm" in case["name"] else "none"
        core = RNN(sizes["I"], sizes["H"], norm=norm).double()  # type: ignore[arg-type]
    load_static(core, params)
    return core, params


def check_static_gradients(case: Case, core: RNN | LSTM) -> None:
    """Gradients go through the same change of form as parameters."""
    expected = type(core)(core.input_size, core.hidden_size).double()
    grads = {name: tensor(grad) for name, grad in case["grads"].items()}
    if "lstm.bias_hh" in grads:  # both biases have the gradient of their sum
        torch.testing.assert_close(grads["lstm.bias_hh"], grads["lstm.bias_ih"])
        grads["lstm.bias_hh"] = torch.zeros_like(grads["lstm.bias_hh"])
    load_static(expected, grads)
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0"):
        close(getattr(core.network, name).grad, getattr(expected.network, name).tolist())


@of(lambda case: case["name"] in ("art_lstm", "art_rnn", "art_rnn_weightnorm"))
def test_golden_static_retrieval(case: Case) -> None:
    core, params = static_core(case)
    x, labels = tensor(case["inputs"]["x"]).transpose(0, 1), torch.tensor(case["inputs"]["labels"])
    output, state = core(x)
    logits = F.linear(output[-1], params["hidden2tag.weight"], params["hidden2tag.bias"])
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    close(loss, case["loss_value"])
    close(logits, case["outputs"]["logits"])
    last = state if isinstance(state, tuple) else (state,)
    for found, expected in zip(last, case["final_state"].values(), strict=True):
        close(found, expected)
    check_energy(case, core.energy(x))
    check_static_gradients(case, core)


@of(lambda case: case["name"] in ("maze_lstm", "maze_rnn"))
def test_golden_static_maze(case: Case) -> None:
    core, params = static_core(case)
    x, scores, values = (tensor(case["inputs"][name]) for name in ("x", "Cy", "Cv"))
    output, state = core(x)
    y = F.linear(output, params["h2o.weight"], params["h2o.bias"])
    v = F.linear(output, params["h2v.weight"], params["h2v.bias"])
    loss = (scores * y).sum() + (values * v).sum()
    loss.backward()
    close(loss, case["loss_value"])
    close(y, case["outputs"]["action_scores"])
    close(v, case["outputs"]["values"])
    last = state if isinstance(state, tuple) else (state,)
    for found, expected in zip(last, case["final_state"].values(), strict=True):
        close(found, expected)
    energy = core.energy(x)
    close(energy, case["energy"])
    close(energy.mean((1, 2)), case["energy_logged"])
    check_static_gradients(case, core)


@of(lambda case: case["name"] in ("maze_stpn_post_clamp1", "maze_modplast"))
def test_golden_plastic_maze(case: Case) -> None:
    if "stpn" in case["name"]:
        net = Net(unit(case), cell_names(case, "rnn.rnn."), case)
    else:
        net = Net(*baseline(case), case)
    x, scores, values = (tensor(case["inputs"][name]) for name in ("x", "Cy", "Cv"))
    output, state = net.core(x)
    y, v = net.h2o(output), net.h2v(output)
    loss = (scores * y).sum() + (values * v).sum()
    loss.backward()
    close(loss, case["loss_value"])
    close(y, case["outputs"]["action_scores"])
    close(v, case["outputs"]["values"])
    for found, expected in zip(state, case["final_state"].values(), strict=True):
        close(found, expected)
    energy = net.core.energy(x)
    close(energy, case["energy"])
    close(energy.mean((1, 2)), case["energy_logged"])
    net.check_gradients()


@of(lambda case: case["name"].startswith("fam_") and case["name"] != "fam_lstm")
def test_golden_familiarity(case: Case) -> None:
    """One sequence without a batch dimension; the golden norm has no epsilon."""
    inputs, hidden = case["dims"]["I"], case["dims"]["H"]
    kind = case["name"].removeprefix("fam_")
    hebbian = kind == "hebbff"
    core = STPN(
        inputs,
        hidden,
        plasticity="recurrent" if kind.endswith("stpnr") else "feedforward",
        norm="none" if hebbian else "pre",
        scalar=hebbian or kind.startswith("u"),
        activation="sigmoid" if hebbian else "tanh",
        dtype=torch.float64,
    )
    ours = {"w1": "weight", "b1": "bias", "_lam": "weight_lambda", "_eta": "weight_gamma"}
    readout = nn.Linear(hidden, 1).double()
    targets = {golden: getattr(core.cells[0], name) for golden, name in ours.items()}
    targets |= {"w2": readout.weight, "b2": readout.bias}
    with torch.no_grad():
        for golden, value in case["params"].items():
            targets[golden].copy_(tensor(value))
    x, labels = tensor(case["inputs"]["x"]), tensor(case["inputs"]["labels"])
    output, state = core(x)
    prob = torch.sigmoid(readout(output))
    loss = F.binary_cross_entropy(prob, labels)
    loss.backward()
    close(loss, case["loss_value"])
    close(prob, case["outputs"]["prob"])
    assert float((prob.round() == labels).float().mean()) == pytest.approx(
        case["outputs"]["accuracy"]
    )
    close(state.F, case["final_state"]["A"])
    if "h" in case["final_state"]:
        close(state.h, case["final_state"]["h"])
    for golden, grad in case["grads"].items():
        close(targets[golden].grad, tensor(grad).view_as(targets[golden]).tolist())


@of(lambda case: case["name"] == "fam_lstm")
def test_golden_familiarity_lstm(case: Case) -> None:
    core, params = static_core(case)
    x, labels = tensor(case["inputs"]["x"]), tensor(case["inputs"]["labels"])
    output, state = core(x.unsqueeze(1))
    prob = torch.sigmoid(F.linear(output[:, 0], params["Wy"], params["by"]))
    loss = F.binary_cross_entropy(prob, labels)
    loss.backward()
    close(loss, case["loss_value"])
    close(prob, case["outputs"]["prob"])
    for found, expected in zip(state, case["final_state"].values(), strict=True):
        close(found, expected)
    check_static_gradients(case, core)

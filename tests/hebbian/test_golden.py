"""Golden vectors computed by the paper's own code in double precision, for every layer and rule.

The vectors hold numbers only. Two cases with a bias pin a known defect there (the decay term of the
weight sees u *with* the bias); for these the bias is compared and the weight must differ.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from plastorch import SoftHebbConv2d, SoftHebbLinear, set_gradients
from plastorch.hebbian.analysis import fields as analysis
from plastorch.hebbian.layers import SoftHebbLayer
from plastorch.hebbian.networks import SoftHebbNet, blocks_of
from plastorch.hebbian.optim import linear_decay, readout_rate
from plastorch.hebbian.presets import preset
from plastorch.hebbian.readout import accuracy, assign_labels
from plastorch.hebbian.rule import norm_dependent_rate, normalize, triangle
from plastorch.hebbian.spec import BlockSpec, NetworkSpec, Pool
from plastorch.hebbian.train import HebbianTraining
from plastorch.learning.phases import EpochOrder, run_phase

Case = dict[str, Any]
FindCase = Callable[[str, str], Case]
WEIGHT_DIFFERS = {"linear_soft_bias", "linear_soft_bias_nonuniform"}


def of(kind: str) -> Any:
    def mark(function: Any) -> Any:
        function.golden = "softhebb", lambda case: case["type"] == kind
        return function

    return mark


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


def assert_golden(actual: Tensor, expected: Any) -> None:
    rtol, atol = (1e-9, 1e-11) if actual.dtype == torch.float64 else (2e-4, 2e-5)
    wanted = torch.tensor(expected, dtype=actual.dtype)
    torch.testing.assert_close(actual.detach(), wanted, rtol=rtol, atol=atol)


def rates(layer: SoftHebbLayer, hyper: Case) -> Tensor:
    return hyper["lr"] * norm_dependent_rate(layer.radius(), hyper["power_lr"])


def conv_of(case: Case, weight: Tensor) -> SoftHebbConv2d:
    hyper = case["hyper"]
    layer = SoftHebbConv2d(
        weight.shape[1] * hyper["groups"],
        weight.shape[0],
        weight.shape[2],
        hyper["stride"],
        hyper["padding"],
        dilation=hyper["dilation"],
        groups=hyper["groups"],
        padding_mode=hyper["padding_mode"],
        competition=hyper["rule"],
        inverse_temperature=hyper["t_invert"] or 1.0,
        rate_power=hyper["power_lr"],
        pre_triangle=hyper.get("pre_triangle", False),
        dtype=weight.dtype,
    )
    layer.weight.copy_(weight)
    return layer


@of("conv_step")
def test_golden_conv_step(case: Case, dtype: torch.dtype) -> None:
    hyper, expected = case["hyper"], case["expected"]
    layer = conv_of(case, torch.tensor(case["input"]["weight"], dtype=dtype))
    x = torch.tensor(case["input"]["x"], dtype=dtype)
    assert_golden(layer.radius(), expected["radius_before"])
    assert_golden(rates(layer, hyper), expected["lr_before"])
    step = layer.learn(x)
    assert_golden(step.output, expected["u"])
    assert_golden(layer(x), expected["u"])
    assert_golden(layer.post(step.output), expected["y"])
    groups = step.updates["weight"].reshape(hyper["groups"], -1).abs().amax(dim=1)
    assert_golden(groups, expected["max_abs_raw_delta_per_group"])
    assert_golden(normalize(step.updates["weight"], hyper["groups"]), expected["delta_weight"])
    descend(layer, step, hyper["lr"])
    assert_golden(layer.weight, expected["weight_after"])
    assert_golden(layer.radius(), expected["radius_after"])
    assert_golden(rates(layer, hyper), expected["lr_after"])


def descend(layer: SoftHebbLayer, step: Any, learning_rate: float) -> None:
    optimizer = torch.optim.SGD(layer.parameters(), lr=learning_rate)
    set_gradients(layer, step)
    optimizer.step()


@of("conv_trajectory")
def test_golden_conv_trajectory(case: Case, dtype: torch.dtype) -> None:
    hyper = case["hyper"]
    layer = conv_of(case, torch.tensor(case["input"]["weight"], dtype=dtype))
    for x, expected in zip(case["input"]["xs"], case["expected"]["steps"], strict=True):
        step = layer.learn(torch.tensor(x, dtype=dtype))
        descend(layer, step, hyper["lr"])
        assert_golden(layer.weight, expected["weight"])
        assert_golden(layer.radius(), expected["radius"])
        assert_golden(rates(layer, hyper), expected["lr"])


@of("linear_step")
def test_golden_linear_step(case: Case, dtype: torch.dtype) -> None:
    hyper, given, expected = case["hyper"], case["input"], case["expected"]
    weight = torch.tensor(given["weight"], dtype=dtype)
    taught = hyper["rule"] == "supervised"
    power = hyper["power_lr"] if hyper["adaptive"] else 0.0
    layer = SoftHebbLinear(
        weight.shape[1],
        weight.shape[0],
        bias=hyper["bias"],
        competition="soft" if taught else hyper["rule"],
        inverse_temperature=hyper["t_invert"] or 1.0,
        rate_power=power,
        dtype=dtype,
    )
    layer.weight.copy_(weight)
    if layer.bias is not None:
        assert_golden(layer.bias, expected["default_bias_init"])
        layer.bias.copy_(torch.tensor(given["bias"], dtype=dtype))
    before = rates(layer, {**hyper, "power_lr": power})
    assert_golden(before, expected["lr_before"])
    teacher = torch.tensor(given["teacher_onehot"], dtype=dtype) if taught else None
    step = layer.learn(torch.tensor(given["x"], dtype=dtype), teacher=teacher)
    assert_golden(step.output, expected["u"])
    if not taught:
        assert_golden(layer.post(step.output), expected["y"])
    if layer.bias is not None:
        assert_golden(normalize(step.updates["bias"]), expected["delta_bias"])
    delta = normalize(step.updates["weight"])
    descend(layer, step, hyper["lr"])
    if layer.bias is not None:
        assert_golden(layer.bias, expected["bias_after"])
    if case["name"] in WEIGHT_DIFFERS:
        assert not torch.allclose(delta, torch.tensor(expected["delta_weight"], dtype=dtype))
        return
    assert_golden(delta, expected["delta_weight"])
    assert_golden(layer.weight, expected["weight_after"])
    if hyper["adaptive"]:
        assert_golden(rates(layer, hyper), expected["lr_after"])
    else:
        steps = round(hyper["nb_epochs"] / hyper["batch_over_samples"])
        after = torch.full_like(before, linear_decay(hyper["lr"], 1, steps))
        assert_golden(after, expected["lr_after"])


@of("triangle")
def test_golden_triangle(case: Case, dtype: torch.dtype) -> None:
    x = torch.tensor(case["input"]["x"], dtype=dtype)
    assert_golden(triangle(x, case["hyper"]["power"]), case["expected"]["y"])


@of("adaptive_lr")
def test_golden_norm_dependent_rate(case: Case, dtype: torch.dtype) -> None:
    norms = torch.tensor(case["input"]["norms"], dtype=dtype)
    for row in case["expected"]:
        assert_golden(row["lr"] * norm_dependent_rate(norms, row["power_lr"]), row["expected_lr"])


@of("unsup_lr_decay")
def test_golden_unsupervised_decay(case: Case) -> None:
    hyper, steps = case["hyper"], case["input"]["step_index"]
    total = round(hyper["nb_epochs"] / hyper["batch_over_samples"])
    linear = [linear_decay(hyper["lr"], step, total) for step in steps]
    assert linear == pytest.approx(case["expected"]["linear"], rel=1e-9, abs=1e-11)


@of("readout_lr")
def test_golden_readout_rate(case: Case) -> None:
    for epochs, expected in case["expected"].items():
        count = int(epochs)
        measured = [readout_rate(1e-3, epoch, count) for epoch in range(count)]
        assert measured == pytest.approx(expected, rel=1e-12)


PRESET_NETS = {
    "4SoftHebbCnnCIFAR": (("cifar10", 3), {}, 3, 32, 10),
    "4HardCnnCIFAR": (("cifar10", 3), {"rule": "hard", "architecture": "published"}, 3, 32, 10),
    "5SoftHebbCnnSTL": (("stl10", 4), {}, 3, 96, 10),
    "6SoftHebbCnnImNet": (("imagenet", 5), {}, 3, 160, 1000),
    "6HardCnnImNet": (
        ("imagenet", 5),
        {"rule": "hard", "architecture": "published"},
        3,
        160,
        1000,
    ),
}


@of("init")
def test_golden_initial_weights(case: Case) -> None:
    """Fan-in, spread and readout size of every published network."""
    for row in case["expected"]:
        if row["preset"] in PRESET_NETS:
            arguments, options, channels, side, classes = PRESET_NETS[row["preset"]]
            with torch.device("meta"):
                net = SoftHebbNet(preset(*arguments, **options), channels, side, classes)
            if "readout_in_features" in row:
                assert net.readout.in_features == row["readout_in_features"]
                assert net.readout.out_features == row["readout_out_features"]
                continue
            assert_conv_shape(blocks_of(net)[int(row["block"][1])].conv, row)
        if "range" in row:
            assert_initial_range(row)


def assert_conv_shape(conv: SoftHebbConv2d, row: Case) -> None:
    found = (conv.in_channels, conv.out_channels, conv.kernel_size[0], conv.groups)
    assert found == tuple(row[k] for k in ("in_channels", "out_channels", "kernel_size", "groups"))
    assert conv.initial_radius == row["radius"]
    assert conv.initial_distribution == row["distribution"]


def assert_initial_range(row: Case) -> None:
    """The spread is right within what a sample of that size can show (six standard errors)."""
    torch.manual_seed(0)
    layer = SoftHebbConv2d(
        min(row["in_channels"], 768 * row["groups"]),
        row["groups"] * max(1, 64 // row["groups"]),
        row["kernel_size"],
        groups=row["groups"],
        initial_radius=row["radius"],
        initial_distribution=row["distribution"],
    )
    scale = (
        layer.weight[0].numel() * row["groups"] / (row["in_channels"] * row["kernel_size"] ** 2)
    ) ** 0.5
    weight, wanted = layer.weight.double() * scale, row["range"]
    if row["distribution"] == "normal":
        error = 6 / (2 * weight.numel()) ** 0.5
        assert float(weight.std()) == pytest.approx(wanted, rel=error)
        assert float(weight.mean()) == pytest.approx(0, abs=6 * wanted / weight.numel() ** 0.5)
    else:
        assert float(weight.min()) >= 0 and float(weight.max()) < wanted * (1 + 1e-6)
        assert float(weight.mean()) == pytest.approx(wanted / 2, rel=6 / weight.numel() ** 0.5)


@of("label_assignment")
def test_golden_label_assignment(case: Case) -> None:
    activation = torch.tensor(case["input"]["y"], dtype=torch.float64)
    labels = torch.tensor(case["input"]["targets"])
    expected = case["expected"]
    assert activation.argmax(dim=1).tolist() == expected["winners"]
    assigned = assign_labels(activation, labels, int(labels.max()) + 1)
    assert assigned.tolist() == expected["neuron_labels"]
    predicted = assigned[activation.argmax(dim=1)]
    assert 100 * accuracy(predicted, labels) == pytest.approx(expected["accuracy_percent"])


def small_net(case: Case, dtype: torch.dtype) -> SoftHebbNet:
    blocks = tuple(
        BlockSpec(
            spec["conv"]["out"],
            spec["conv"]["k"],
            padding=spec["conv"]["padding"],
            learning_rate=spec["conv"]["lr"],
            inverse_temperature=spec["conv"]["t_invert"],
            triangle_power=spec["triangle"],
            pool=Pool(*spec["pool"]),
            rate_power=spec["conv"]["power_lr"],
        )
        for spec in case["hyper"]["blocks"]
        if "conv" in spec
    )
    net = SoftHebbNet(NetworkSpec("golden", blocks), 3, 8, 3).to(dtype)
    given = case["input"]
    with torch.no_grad():
        for block, weight in zip(blocks_of(net), given["weights"], strict=True):
            block.conv.weight.copy_(torch.tensor(weight))
        net.readout.weight.copy_(torch.tensor(given["readout_weight"]))
        net.readout.bias.copy_(torch.tensor(given["readout_bias"]))
    return net


CONSECUTIVE = "softhebb", "network_consecutive_3steps"


class InOrder(EpochOrder):
    """The golden batches one after the other, in each stage."""

    def __call__(self, number: int) -> Tensor:
        return torch.arange(self.examples).split(self.batch_size)[number % self.per_epoch]


def train(net: SoftHebbNet, xs: list[Tensor], mode: Any) -> None:
    """Trains on given mini-batches in given order, through the product's own training."""
    training = HebbianTraining(net, torch.cat(xs), batch_size=len(xs[0]), mode=mode)
    training.rows = InOrder(len(training.images), len(xs[0]), 0)
    run_phase(training)


def assert_network(net: SoftHebbNet, x: Tensor, expected: Case, weights: Any) -> None:
    for block, weight, statistics in zip(
        blocks_of(net), weights, expected["batchnorm"], strict=True
    ):
        assert_golden(block.conv.weight, weight)
        assert_golden(block.norm.running_mean, statistics["running_mean"])
        assert_golden(block.norm.running_var, statistics["running_var"])
    net.eval()
    assert_golden(net(x), expected["eval_logits_on_xs0"])


def test_golden_network_consecutive(golden_case: FindCase, dtype: torch.dtype) -> None:
    case = golden_case(*CONSECUTIVE)
    net = small_net(case, dtype)
    xs = [torch.tensor(x, dtype=dtype) for x in case["input"]["xs"]]
    watched = small_net(case, dtype).train()
    for x, expected in zip(xs, case["expected"]["steps"], strict=True):
        for i, block in enumerate(blocks_of(watched)):
            step = block.conv.learn(block.norm(x))
            assert_golden(normalize(step.updates["weight"]), expected["delta_weights"][i])
            x = block.activate(step.output)
            assert_golden(x, expected["block_outputs"][i])
            descend(block.conv, step, block.spec.learning_rate)
            assert_golden(block.conv.weight, expected["weights_after"][i])
    train(net, xs, "consecutive")
    last = case["expected"]["steps"][-1]["weights_after"]
    assert_network(net, xs[0], case["expected"], last)


def test_golden_network_successive(golden_case: FindCase, dtype: torch.dtype) -> None:
    case, given = golden_case("softhebb", "network_successive"), golden_case(*CONSECUTIVE)
    net = small_net({**given, "hyper": case["hyper"]}, dtype)
    xs = [torch.tensor(x, dtype=dtype) for x in given["input"]["xs"]]
    train(net, xs[: case["hyper"]["batches_per_block"]], "successive")
    assert_network(net, xs[0], case["expected"], case["expected"]["weights_after"])


@of("rf_ascent")
def test_golden_receptive_field(case: Case, golden_case: FindCase) -> None:
    given = golden_case(*CONSECUTIVE)
    net = small_net(given, torch.float64)
    final = given["expected"]
    for i, block in enumerate(blocks_of(net)):
        weight = torch.tensor(final["steps"][-1]["weights_after"][i], dtype=torch.float64)
        with torch.no_grad():
            block.conv.weight.copy_(weight)
        for name, values in final["batchnorm"][i].items():
            getattr(block.norm, name).copy_(torch.tensor(values, dtype=torch.float64))
    hyper = case["hyper"]
    layer, neuron, rate = hyper["layer"], hyper["neuron"], hyper["step_size"]
    chosen = torch.tensor([neuron])
    first = case["expected"][0]
    x = torch.tensor(first["image"], dtype=torch.float64).unsqueeze(0)
    for before, expected in pairwise(case["expected"]):
        for _ in range(expected["steps"] - before["steps"]):
            x = analysis._stretched(x + rate * analysis._gradient(net, x, layer, chosen))
        assert_golden(x[0], expected["image"])
        seen = analysis.unpadded_response(net, net.standardized(x), layer, chosen).detach()
        assert seen.item() == pytest.approx(expected["activation"], rel=1e-9)
    (image,) = analysis.receptive_fields(net, layer, [neuron], first["steps"], rate)
    assert image.shape[-1] == hyper["image_size"]
    # From black, all places look alike to the first layer: which one a pool takes is decided by
    # the last bit, in each processor's own way. The first layer alone has no pool.
    if layer == 1:
        assert_golden(image, first["image"])

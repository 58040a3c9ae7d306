"""Networks through torch.compile, torch.export and ONNX: the same answers as in PyTorch."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from plastorch.hebbian import BlockSpec, NetworkSpec, Pool, SoftHebbLinear, SoftHebbNet, WideSpec
from plastorch.hebbian.train import HebbianTraining
from plastorch.learning.phases import run_phase

BATCH = {0: torch.export.Dim.DYNAMIC}
SPECS = {
    "published kind": (
        BlockSpec(
            6, 5, padding=2, learning_rate=0.08, triangle_power=0.7, pool=Pool("max", 4, 2, 1)
        ),
        BlockSpec(
            8, 3, padding=1, learning_rate=0.01, inverse_temperature=0.65, pool=Pool("avg", 2, 2)
        ),
    ),
    "all else": (
        BlockSpec(
            6,
            3,
            padding=1,
            learning_rate=0.08,
            triangle_power=1.4,
            pool=Pool("avg", 2, 2),
            pre_triangle=True,
            batch_norm=False,
        ),
        BlockSpec(
            8, 3, padding=1, learning_rate=0.01, pool=Pool("max", 2, 2), groups=2, activation="relu"
        ),
    ),
}


@pytest.fixture(scope="module", params=[*SPECS, "wide"])
def net(request: pytest.FixtureRequest) -> SoftHebbNet:
    """A network with batch statistics and weights of its own, and scaled pixels."""
    torch.manual_seed(0)
    blocks = SPECS.get(request.param, SPECS["published kind"])
    wide = WideSpec(9) if request.param == "wide" else None
    spec = NetworkSpec("tiny", blocks, 0.5, (0.5, 0.4), (0.2, 0.3), wide=wide)
    net = SoftHebbNet(spec, 2, 12, 3)
    run_phase(HebbianTraining(net, images(20), batch_size=5, mode="consecutive"))
    return net.eval()


def images(count: int) -> Tensor:
    random = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 2, 12, 12), dtype=torch.uint8, generator=random)


def to_onnx(model: nn.Module, example: Tensor, path: Path) -> onnxruntime.InferenceSession:
    torch.onnx.export(model, (example,), path, dynamic_shapes=(BATCH,), verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options)


def test_compiled(net: SoftHebbNet) -> None:
    """In one graph, whatever the batch: nothing in a forward pass asks Python."""
    compiled = torch.compile(net, backend="eager", fullgraph=True, dynamic=True)
    for count in (2, 5):
        torch.testing.assert_close(compiled(images(count)), net(images(count)))


@pytest.mark.parametrize("strict", [True, False])
def test_exported(net: SoftHebbNet, strict: bool) -> None:
    program = torch.export.export(net, (images(2),), dynamic_shapes=(BATCH,), strict=strict)
    torch.testing.assert_close(program.module()(images(7)), net(images(7)))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_onnx(net: SoftHebbNet, tmp_path: Path) -> None:
    """Of bytes as they come from a camera, scaled inside, for any number of images."""
    session = to_onnx(net, images(2), tmp_path / "net.onnx")
    (taken,) = session.get_inputs()
    assert taken.type == "tensor(uint8)" and taken.shape[1:] == [2, 12, 12]
    for count in (1, 7):
        (logits,) = session.run(None, {taken.name: images(count).numpy()})
        expected = net(images(count)).detach().numpy()
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_layer_as_onnx(tmp_path: Path) -> None:
    layer, x = SoftHebbLinear(5, 4, bias=True), torch.rand(3, 5)
    session = to_onnx(layer.eval(), x, tmp_path / "layer.onnx")
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(found, layer(x).numpy(), rtol=1e-5, atol=1e-5)


def test_learning_compiled() -> None:
    layer, x = SoftHebbLinear(5, 4, bias=True), torch.rand(3, 5)
    learn = torch.compile(layer.learn, backend="eager", fullgraph=True)
    torch.testing.assert_close(learn(x), layer.learn(x))

"""Short-term plasticity through torch.compile and ONNX: the same activities and states."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from plastorch import STPN, STPNCell
from plastorch.stp.rule import STPNState

DYNAMIC = torch.export.Dim.DYNAMIC
SETTINGS: list[dict[str, Any]] = [
    {},
    {"plasticity": "feedforward", "norm": "post", "bias": False},
    {"plastic": "hidden", "norm": "efficacy", "presynaptic": "current", "clamp": 0.5},
    {"scalar": True, "norm": "none", "activation": "sigmoid", "num_layers": 2},
]

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


class Step(nn.Module):
    """A step with its state as plain inputs and outputs, as a file of ONNX has them."""

    def __init__(self, cell: STPNCell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, h: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        _, state = self.cell(x, STPNState(h, memory))
        return state.h, state.F


def session_of(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options)


def flat(result: Any) -> list[np.ndarray]:
    """Output and states of all layers, as a session of ONNX lists them."""
    if isinstance(result, Tensor):
        return [result.detach().numpy()]
    return [array for part in result for array in flat(part)]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_compiled(settings: dict[str, Any]) -> None:
    torch.compiler.reset()  # of what other tests compiled, no more than eight versions are kept
    layer, x = STPN(3, 4, **settings), torch.randn(3, 2, 3)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    output, state = compiled(x)
    expected = layer(x)
    torch.testing.assert_close((output, state), expected)
    state = state.detach() if isinstance(state, STPNState) else tuple(s.detach() for s in state)
    torch.testing.assert_close(compiled(x, state), layer(x, state))
    parameters = list(layer.parameters())
    gradients = [
        torch.autograd.grad(run(x)[0].square().sum(), parameters, allow_unused=True)
        for run in (compiled, layer)
    ]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_onnx(settings: dict[str, Any], tmp_path: Path) -> None:
    """Sequences of the example's length, any number of them."""
    torch.manual_seed(0)
    layer = STPN(3, 4, batch_first=True, **settings).eval()
    path = tmp_path / "layer.onnx"
    shapes = {"x": {0: DYNAMIC}}
    torch.onnx.export(layer, (torch.randn(2, 3, 3),), path, dynamic_shapes=shapes, verbose=False)
    x = torch.randn(7, 3, 3)
    found = session_of(path).run(None, {"x": x.numpy()})
    expected = flat(layer(x))
    assert len(found) == len(expected) > 2
    for array, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(array, other, rtol=1e-4, atol=1e-5)


def test_a_step_as_onnx_runs_sequences_of_any_length(tmp_path: Path) -> None:
    """As on a device that hears a stream: the state goes out and comes in again."""
    torch.manual_seed(0)
    cell, path = STPNCell(3, 4), tmp_path / "step.onnx"
    example = (torch.randn(2, 3), *cell.initial_state(2))
    shapes = {name: {0: DYNAMIC} for name in ("x", "h", "memory")}
    torch.onnx.export(Step(cell).eval(), example, path, dynamic_shapes=shapes, verbose=False)
    session, x = session_of(path), torch.randn(23, 5, 3)
    h, memory = (part.numpy() for part in cell.initial_state(5))
    activities = []
    for step in x.numpy():
        h, memory = session.run(None, {"x": step, "h": h, "memory": memory})
        activities.append(h)
    output, state = cell.run(x, None)
    np.testing.assert_allclose(np.stack(activities), output.detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(memory, state.F.detach().numpy(), rtol=1e-4, atol=1e-6)

"""Short-term plasticity neurons: cells and layers, forwards and backwards."""

from typing import Any

import torch
from kernel_fuzz import Hostile

from plastorch.stp import STPN, STPNCell

torch.set_default_dtype(torch.float64)  # kernels are compiled for it by other tests

INPUTS, HIDDEN = 4, 5


def _settings(hostile: Hostile) -> dict[str, Any]:
    choice = hostile.random.choice
    settings = {
        "norm": choice(["pre", "post", "efficacy", "none"]),
        "clamp": choice([float("inf"), 1.0]),
        "scalar": choice([False, True]),
        "presynaptic": choice(["previous", "current"]),
        "bias": choice([False, True]),
    }
    if choice([False, True]):
        return settings | {"plasticity": "feedforward"}
    return settings | {"plastic": choice(["all", "input", "hidden"])}


def _x(*shape: int) -> Any:
    return torch.randn(*shape, INPUTS)


def _backward(*outputs: Any) -> Any:
    """Gradients, too."""
    leaves = [output for output in outputs if output.requires_grad]
    if leaves:
        torch.stack([leaf.sum() for leaf in leaves]).sum().backward()
    return outputs


def step(hostile: Hostile) -> Any:
    cell = STPNCell(INPUTS, HIDDEN, **_settings(hostile))
    x, state = hostile.damaged((_x(3), cell.initial_state(3)))
    _, after = cell(x, state)
    return _backward(*after)


@torch.no_grad()
def step_alone(hostile: Hostile) -> Any:
    """Without gradients, which has a kernel of its own."""
    cell = STPNCell(INPUTS, HIDDEN, **_settings(hostile))
    return cell(*hostile.damaged((_x(3), cell.initial_state(3))))


def sequence(hostile: Hostile) -> Any:
    layer = STPN(INPUTS, HIDDEN, **_settings(hostile))
    state = layer.cells[0].initial_state(3)  # type: ignore[operator]
    lengths = torch.tensor([6, 2, 4])
    output, after = layer(*hostile.damaged((_x(6, 3), state, lengths)))
    return _backward(output, *after)


def sequence_from_foreign_state(hostile: Hostile) -> Any:
    settings, choice = _settings(hostile), hostile.random.choice
    layer = STPN(INPUTS, HIDDEN, 2, **settings)
    other = STPN(choice([1, 4, 40]), choice([1, 5, 50]), 2, **settings)
    states, foreign = (
        tuple(cell.initial_state(batch) for cell in net.cells)  # type: ignore[operator]
        for net, batch in ((layer, 3), (other, choice([1, 3, 30])))
    )
    output, (_, after) = layer(_x(6, 3), hostile.mixed(states, foreign))
    return _backward(output, *after)


def sequence_after_load_state_dict(hostile: Hostile) -> Any:
    layer = hostile.tampered(STPN(INPUTS, HIDDEN, 2, **_settings(hostile)))
    output, (_, after) = layer(_x(6, 3))
    return _backward(output, *after)


def sequence_of_replaced_parameters(hostile: Hostile) -> Any:
    layer = STPN(INPUTS, HIDDEN, **_settings(hostile))
    for name, tensor in hostile.damaged(dict(layer.cells[0].named_parameters())).items():
        if tensor.is_floating_point():
            setattr(layer.cells[0], name, torch.nn.Parameter(tensor.detach()))
    output, after = layer(_x(6, 3))
    return _backward(output, *after)


def energy(hostile: Hostile) -> Any:
    layer = hostile.tampered(STPN(INPUTS, HIDDEN, **_settings(hostile)))
    state = layer.cells[0].initial_state(3)  # type: ignore[index,operator]
    return layer.energy(*hostile.damaged((_x(6, 3), state)))  # type: ignore[operator]

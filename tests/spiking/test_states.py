"""States of all spiking modules, and events: kept in files, and moved."""

import io
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_map_only

from plastorch.spiking import (
    LIF,
    ExpLIF,
    FatiguingNeuron,
    IdealSynapses,
    Neurons,
    PhaseChangeSynapses,
    ShortTermWTA,
    SoftWTA,
    STDPLayer,
    from_raster,
)

RASTER = torch.rand(9, 2, 6, generator=torch.Generator().manual_seed(0)) < 0.3


def states() -> list[Any]:
    devices = PhaseChangeSynapses(pairs=2)
    layers = (
        STDPLayer(6, 4),
        STDPLayer(6, 4, synapses=devices),
        FatiguingNeuron(6),
        FatiguingNeuron(6, synapses=devices),
    )
    return [
        *(layer.learn(RASTER).state for layer in layers),
        *(Neurons(constants)(RASTER[0].float())[1] for constants in (LIF(), ExpLIF(), SoftWTA())),
        ShortTermWTA(6, 4)(RASTER.float())[1],
        IdealSynapses().initial(torch.rand(2, 3)),
        from_raster(RASTER, 1e-3),
    ]


@pytest.mark.parametrize("state", states(), ids=lambda state: type(state).__name__)
def test_states_come_back_from_files(state: Any) -> None:
    """As torch reads files by default: no class that isn't known to be safe."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    again = torch.load(file, weights_only=True)
    assert type(again) is type(state)
    torch.testing.assert_close(again, state, rtol=0, atol=0)


@pytest.mark.parametrize("state", states(), ids=lambda state: type(state).__name__)
def test_states_are_moved_with_all_that_is_in_them(state: Any) -> None:
    """The recipe of the questions page."""
    moved = tree_map_only(torch.Tensor, lambda part: part.to("meta"), state)
    tensors: list[torch.Tensor] = []
    tree_map_only(torch.Tensor, tensors.append, moved)
    assert type(moved) is type(state) and tensors and all(part.is_meta for part in tensors)

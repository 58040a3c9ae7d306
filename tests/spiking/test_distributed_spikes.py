"""Two workers that share each mini-batch learn as one with the joined one."""

from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from plastorch import STDPLayer, learn
from plastorch.engine.distributed import part
from plastorch.spiking import LIF


def learned() -> dict[str, Tensor]:
    """Parameters after some steps; in the last one a worker has one sample less."""
    torch.manual_seed(0)
    neuron = LIF(threshold=0.5, theta_increase=0.1, theta_tau=1.0)
    layer = STDPLayer(8, 3, neuron=neuron, dtype=torch.float64)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    for batch in (torch.rand(50, 11, 8) < 0.1).split(4, dim=1):
        learn(layer, part(batch, dim=1))
        optimizer.step()
    return layer.state_dict()


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    torch.save(learned(), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_workers_learn_as_one(tmp_path: Path) -> None:
    alone = learned()  # first, so that both find the compiled kernels
    mp.spawn(work, (str(tmp_path),), nprocs=2)
    assert alone["theta"].any()
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found, alone, rtol=1e-9, atol=1e-9)

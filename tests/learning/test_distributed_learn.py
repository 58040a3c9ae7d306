"""Two workers that share each batch write the gradients of one with the joined batch."""

from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from plastorch import SoftHebbConv2d, SoftHebbLinear, Triangle, learn
from plastorch.engine.distributed import part


def learned() -> dict[str, Tensor]:
    """Weights after some steps; the last batch leaves a worker with one image less."""
    torch.manual_seed(0)
    net = nn.Sequential(
        SoftHebbConv2d(2, 6, 3, padding="same", groups=2, initial_radius=2.0),
        Triangle(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        SoftHebbLinear(54, 5, bias=True, rate_power=0.5, initial_radius=2.0),
    ).double()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for batch in torch.randn(15, 2, 6, 6, dtype=torch.float64).split(4):
        learn(net, part(batch))
        optimizer.step()
    return net.state_dict()


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    torch.save(learned(), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_workers_learn_as_one(tmp_path: Path) -> None:
    mp.spawn(work, (str(tmp_path),), nprocs=2)
    alone = learned()
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found, alone, rtol=1e-9, atol=1e-9)

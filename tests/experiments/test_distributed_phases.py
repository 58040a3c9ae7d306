"""Gradient-based phases of several workers, against one that has the whole batches."""

from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from plastorch.data.tasks.retrieval import SYMBOLS, one_hot, retrieval_sets
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.learning.phases import run_phase
from plastorch.rank.model import RankCoder
from plastorch.rank.train import Batch, RankSettings, RankTraining
from plastorch.rl.a2c import ActorCritic, ActorCriticTraining
from plastorch.rl.maze import OBSERVATION, Maze
from plastorch.stp import STPN
from plastorch.stp.train import AnswerNet, AnswerTraining


def finished(net: torch.nn.Module, phase: Any) -> tuple[torch.Tensor, list[Record]]:
    records = run_phase(phase)
    return torch.cat([p.detach().flatten() for p in net.parameters()]), records


def retrieval() -> Any:
    sets = retrieval_sets(0, (70, 20), 2)
    train, validation = ((part.sequences, part.answers) for part in sets)
    torch.manual_seed(0)
    net = AnswerNet(STPN(SYMBOLS, 8), 8, SYMBOLS)
    phase = AnswerTraining(
        "stpn",
        net,
        encode=one_hot,
        train=train,
        validation=validation,
        epochs=2,
        batch_size=16,
        learning_rate=0.01,
    )
    return finished(net, phase)


def maze(faithful: bool) -> Any:
    torch.manual_seed(0)
    net = ActorCritic(STPN(OBSERVATION, 8), 8)
    phase = ActorCriticTraining(
        "stpn",
        net,
        Maze(7, steps=10),
        agents=6,
        iterations=4,
        path=(0,),
        learning_rate=0.01,
        warm_up=1,
        faithful=faithful,
    )
    return finished(net, phase)


def rank() -> Any:
    """Sequences of different lengths, batch first, gradients clipped."""
    torch.manual_seed(0)
    coder = RankCoder(torch.nn.GRU(3, 8, batch_first=True), torch.nn.Linear(8, 2), threshold=0.6)

    def batch(number: int) -> Batch:
        random = stream(number)
        x, labels = torch.randn(6, 9, 3, generator=random), torch.arange(6) % 2
        return Batch(x, labels, torch.randint(1, 10, (6,), generator=random))

    training = RankSettings(8, every=4, learning_rate=0.01, max_norm=0.1)
    weights, records = finished(coder, RankTraining("gru", coder, batch, training))
    for record in records:
        del record["seconds"], record["computed_steps"]  # the latter depend on who waits for whom
    return weights, records


def everything() -> dict[str, Any]:
    found = {"art": retrieval(), "rank": rank()}
    return found | {"maze": maze(False), "faithful maze": maze(True)}


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    torch.save(everything(), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What one worker finds, and each of two."""
    folder = tmp_path_factory.mktemp("pair")
    mp.spawn(work, (str(folder),), nprocs=2)
    pair = [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]
    return [everything(), *pair]


@pytest.mark.parametrize("what", ["art", "rank", "maze", "faithful maze"])
def test_two_workers_equal_one(what: str, found: Any) -> None:
    (weights, records), *pair = (each[what] for each in found)
    for own_weights, own_records in pair:
        torch.testing.assert_close(own_weights, weights, rtol=1e-5, atol=1e-6)
        assert len(own_records) == len(records)
        for own, record in zip(own_records, records, strict=True):
            assert own.pop("phase") == record["phase"]
            assert own == pytest.approx({n: v for n, v in record.items() if n != "phase"}, rel=1e-5)

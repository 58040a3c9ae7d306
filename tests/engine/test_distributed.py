"""What two workers do together, against one that has the joined batch."""

import importlib
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.batchnorm import synchronize
from plastorch.engine.distributed import (
    any_worker,
    backward,
    by_itself,
    check_parts,
    dropout,
    from_first,
    gathered,
    mean_over_workers,
    part,
    share_out,
    share_state,
    sum_over_workers,
    sum_tensors,
    summed,
    worker,
    workers,
)
from plastorch.engine.errors import InputError
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Record, RunFolder

SIZES = (6, 5, 1)
"""Rows of joined batches: shared out evenly, unevenly, and so that one worker has none."""


def gradient(rows: int) -> dict[str, Tensor]:
    """Gradients and running statistics of a network with normalization and dropout."""
    torch.manual_seed(rows)
    net = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4))
    net.double()
    synchronize(net)
    x, labels = torch.randn(rows, 2, 3, 3).double(), torch.arange(rows) % 4
    torch.manual_seed(0)
    mine = part(labels)
    logits = net[3](dropout(net[:3](part(x)), 0.5))
    backward(F.cross_entropy(logits, mine), net.parameters(), len(mine) / rows)
    found = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
    return found | {name: value.clone() for name, value in net.state_dict().items()}


def bad() -> str:
    raise InputError("job is bad; expected a good one")


def raised(make: Any, *arguments: Any) -> str:
    with pytest.raises(InputError) as error:
        make(*arguments)
    return str(error.value)


def job(number: int) -> list[Record]:
    """Says who did it: inside, each worker is by itself."""
    assert (worker(), workers()) == (0, 1)
    assert sum_over_workers(torch.ones(1)) == 1
    return [{"number": number}] * (number % 3)


def write(folder: Path) -> dict[str, Any]:
    """A run of five jobs by a loop; what all know of it."""
    config = {"seed": 0, "worker": worker()}
    run = RunFolder(from_first(lambda: RunFolder.create(folder, "test", config).path))
    with run.alone():
        model = nn.Linear(1, 1)
        nn.init.constant_(model.weight, float(worker()))
        Loop(run, model).run(Jobs("jobs", [lambda n=n: job(n) for n in range(5)]))
        run.write_result({"worker": worker()})
        return {
            "records": run.records(),
            "config": run.config,
            "weight": model.weight.item(),
            "result": from_first(lambda: (run.path / "result.json").read_text()),
        }


def together(folder: Path) -> dict[str, Any]:
    """All that is compared; also right for one worker."""
    rows = torch.arange(10.0).view(5, 2)
    own = part(rows)
    found: dict[str, Any] = {
        "sum": sum_over_workers(own.sum()),
        "mean": mean_over_workers(own.mean(), len(own)),
        "empty": mean_over_workers(part(rows[:1]).mean(), len(part(rows[:1]))),
        "any": (any_worker(worker() == workers() - 1), any_worker(False)),
        "first": from_first(lambda: 10 + worker()),
        "first error": raised(from_first, bad),
        "shared": share_out([lambda n=n: n * n for n in range(5)]),
        "nothing": share_out([]),
        "shared error": raised(share_out, [bad, lambda: "good"]),
        "wrote": write(folder),
    }
    for size in SIZES:
        found |= {f"{size} {name}": value for name, value in gradient(size).items()}
    return found


def work(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    before = threads()
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    assert (worker(), workers()) == (rank, 2)
    found = together(folder / "runs")
    x = torch.full((2, 1), float(rank + 1), requires_grad=True)
    (gathered(x) * torch.arange(4.0)[:, None]).sum().backward()
    y = torch.full((1,), float(rank + 1), requires_grad=True)
    (summed(y) * (rank + 1)).sum().backward()
    torch.manual_seed(rank)
    different = nn.Linear(2, 2)
    share_state(different)
    with by_itself():
        assert (worker(), workers()) == (0, 1)
    own = {
        "gathered": gathered(x.detach()),
        "gradients": (x.grad, y.grad),
        "state": different.state_dict(),
        "parts": [len(part(torch.zeros(size))) for size in SIZES],
        "check": raised(lambda: check_parts(batch_size=4, readout_batch_size=7)),
    }
    torch.save((found, own), folder / f"{rank}.pt")
    importlib.import_module("torch._dynamo")  # it would keep the group, were it the first to know
    dist.destroy_process_group()
    patience = time.monotonic() + 10  # a thread that has ended stays listed for a moment
    while threads() > before and time.monotonic() < patience:
        time.sleep(0.01)
    assert threads() <= before


def threads() -> int:
    """How many this process has, also those that Python knows nothing of."""
    return len(list(Path("/proc/self/task").glob("*")))  # nothing there but on Linux


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What two workers found."""
    folder = tmp_path_factory.mktemp("pair")
    mp.spawn(work, (folder,), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]


def test_two_workers_find_what_one_finds(pair: Any, tmp_path: Path) -> None:
    expected = together(tmp_path)
    for found, _ in pair:
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            if isinstance(value, Tensor):
                torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-12)
            else:
                assert found[name] == value, name


def test_jobs_are_logged_in_order(pair: Any) -> None:
    for found, _ in pair:
        records = found["wrote"]["records"]
        assert [(r["step"], r["number"]) for r in records] == [(2, 1), (3, 2), (3, 2), (5, 4)]


def test_gradients_flow_back_to_each_worker(pair: Any) -> None:
    for rank, (_, own) in enumerate(pair):
        assert own["gathered"].flatten().tolist() == [1, 1, 2, 2]
        of_gathered, of_summed = own["gradients"]
        assert of_gathered.flatten().tolist() == [[0, 2], [4, 6]][rank]  # both workers' losses
        assert of_summed.tolist() == [3]


def test_all_start_from_the_first_workers_state(pair: Any) -> None:
    torch.manual_seed(0)
    for name, value in nn.Linear(2, 2).state_dict().items():
        assert all(torch.equal(own["state"][name], value) for _, own in pair)


def test_parts_and_batches_that_have_none(pair: Any) -> None:
    assert [own["parts"] for _, own in pair] == [[3, 3, 1], [3, 2, 0]]
    for _, own in pair:
        assert own["check"] == (
            "readout_batch_size is 7; expected a multiple of 2, the number of workers"
        )


def test_one_worker_sums_nothing() -> None:
    tensors = [torch.ones(2), torch.zeros(1)]
    assert sum_tensors(tensors) is tensors

"""Two workers, each with half of a batch, train as one with the whole batch."""

from typing import Any, NamedTuple

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from plastorch.efference.actions import Views
from plastorch.efference.encoders import small_resnet
from plastorch.efference.method import Method, Weights
from plastorch.efference.methods import BYOL, ReLIC, SimCLR
from plastorch.efference.optim import Training
from plastorch.efference.rivals import AugSelf, EquiMod
from plastorch.efference.train import Learner, Pretraining, Sources
from plastorch.engine.batchnorm import synchronize
from plastorch.engine.distributed import backward, worker
from plastorch.engine.run import Record

ROWS, SIZES = 8, (3, 2)
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "SimCLR": (SimCLR, {}),
    "BYOL": (BYOL, {}),
    "ReLIC": (ReLIC, {}),
    "block": (SimCLR, {"efference_at": {"layer2": 1.0, "output": 1.0}}),
    "AugSelf": (SimCLR, {"efference": AugSelf}),
    "EquiMod": (SimCLR, {"efference": EquiMod}),
}
"""Methods, heads, and places where they read."""


class Shift(NamedTuple):
    by: Tensor


class Shifts(Views):
    """Views moved to the right, the left edge following the right one."""

    def sample(self, count: int, generator: torch.Generator, device: Any = "cpu") -> Shift:
        return Shift(torch.randint(0, 3, (count,), generator=generator).to(device))

    def apply(self, sources: Tensor, actions: Shift) -> Tensor:
        moved = [image.roll(int(by), 2) for image, by in zip(sources, actions.by, strict=True)]
        return torch.stack(moved).double() / 255


class Moves:
    """Classes of a move; the second factor has targets in some rows only."""

    factors = ("by", "more")

    def targets(self, a: Shift, b: Shift) -> Tensor:
        classes = torch.stack([(b.by - a.by) % 3, (b.by > a.by).long()], dim=1)
        classes[:, 1][a.by == 0] = -1
        return classes


def method(name: str) -> Method:
    torch.manual_seed(0)
    kind, more = CASES[name]
    made: Method = kind(small_resnet(2), 8, SIZES, Weights(2.0, 0.7), hidden=6, out=4, **more)
    return made.double()


def batch(name: str) -> list[Tensor]:
    random = torch.Generator().manual_seed(1)
    views = torch.rand(2, ROWS, 3, 8, 8, generator=random, dtype=torch.float64)
    actions = [Shifts().sample(ROWS, random) for _ in views]
    targets = [Moves().targets(*actions), Moves().targets(*actions[::-1])]
    if name in ("AugSelf", "EquiMod"):  # which learn numbers
        targets = [of.double() for of in targets]
    return [*views, *targets]


def outcome(method: Method, given: list[Tensor]) -> dict[str, Tensor]:
    """Losses, gradients, running statistics."""
    losses = method(*given)
    backward(losses.total, method.parameters())
    parts = {name: value for name, value in losses._asdict().items() if value is not None}
    found = {f"loss {name}": of.detach() for name, of in parts.items() if of.dim() == 0}
    found |= {f"grad {name}": p.grad for name, p in method.named_parameters() if p.grad is not None}
    return found | {f"state {name}": value.clone() for name, value in method.state_dict().items()}


def trained() -> tuple[dict[str, Tensor], Record]:
    """Weights and log of a short training."""
    random = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (20, 3, 8, 8), generator=random, dtype=torch.uint8)
    labels = torch.arange(20) % 4 - 1  # some have none
    learner = Learner(method("SimCLR"), 8, 3).double()
    nn.init.constant_(learner.probe.weight, float(worker()))  # the first worker's counts
    training = Training(batches=3, batch_size=ROWS, every=3)
    phase = Pretraining(
        "pair", learner, Sources(images, labels), Shifts(), training, copies=Moves(), path=(4,)
    )
    (record,) = phase.step()
    return {name: value.clone() for name, value in learner.state_dict().items()}, record


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    found: dict[str, Any] = {}
    for name in CASES:
        made = method(name)
        synchronize(made)
        found[name] = outcome(made, [of.chunk(2)[rank] for of in batch(name)])
    found["weights"], found["record"] = trained()
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two workers found."""
    folder = tmp_path_factory.mktemp("pair")
    mp.spawn(work, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("case", CASES)
def test_value_and_gradient_are_those_of_the_joined_batch(case: str, pair: Any) -> None:
    expected = outcome(method(case), batch(case))
    one, other = (found[case] for found in pair)
    assert one.keys() == other.keys() == expected.keys()
    for name, value in expected.items():
        if name.startswith("loss"):
            torch.testing.assert_close((one[name] + other[name]) / 2, value, rtol=0, atol=1e-9)
        else:
            torch.testing.assert_close(one[name], value, rtol=1e-7, atol=1e-9)
            assert torch.equal(one[name], other[name])


def test_training_is_that_of_one_worker(pair: Any) -> None:
    expected, record = trained()
    for found in pair:
        for name, value in expected.items():
            torch.testing.assert_close(found["weights"][name], value, rtol=1e-6, atol=1e-9)
        own = found["record"]
        assert own.keys() == record.keys()
        for name in record.keys() - {"phase", "seconds"}:
            assert own[name] == pytest.approx(record[name], rel=1e-5)

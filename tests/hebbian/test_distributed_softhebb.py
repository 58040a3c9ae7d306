"""Two workers that share each batch learn what one learns from the whole batches."""

from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from plastorch import learn
from plastorch.data import crop_and_flip, load_images
from plastorch.engine.distributed import part
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.hebbian import HebbianTraining, SoftHebbLinear, SoftHebbNet, preset
from plastorch.hebbian.backprop import BackpropTraining
from plastorch.hebbian.features import FeatureExtraction, cached
from plastorch.hebbian.readout import ReadoutTraining
from plastorch.hebbian.shallow import OnlineTraining, ShallowSoftHebb
from plastorch.learning.phases import run_phase

Outcome = tuple[dict[str, Tensor], list[Record]]


def digits(count: int) -> tuple[Tensor, Tensor]:
    images = load_images("mnist")
    return images.train_images[:count], images.train_labels[:count]


def finished(net: nn.Module, phase: Any) -> Outcome:
    """Weights, buffers and log of a phase."""
    records = run_phase(phase)
    return {name: value.clone() for name, value in net.state_dict().items()}, records


def deep() -> tuple[Outcome, Tensor]:
    """51 steps, the last of a single image, and features of some digits.

    In double precision: the rule makes a difference in rounding grow from step to step.
    """
    images, _ = digits(201)
    net = SoftHebbNet(preset("mnist", 2, "quarter"), 1, 28, 10, generator=stream(0)).double()

    def augment(batch: Tensor, rows: Tensor, random: torch.Generator) -> Tensor:
        return crop_and_flip(batch, 2, random)

    training = HebbianTraining(
        net, images, batch_size=4, mode="consecutive", augment=augment, log_every=10
    )
    blocks = finished(net, training)
    net.float()
    extraction = FeatureExtraction(net, images[:11], batch_size=5, dtype=torch.float32)
    finished(net, extraction)
    return blocks, extraction.features


def readout() -> Outcome:
    """Of features in two views, with dropout; the last batch is of one row."""
    random = stream(0)
    features, labels = torch.rand(41, 50, generator=random), torch.arange(41) % 10
    layer = nn.Linear(50, 10)
    nn.init.zeros_(layer.weight), nn.init.zeros_(layer.bias)
    source = cached(torch.cat([features, features / 2]), views=2)
    return finished(
        layer, ReadoutTraining(layer, source, labels, features, labels, epochs=2, batch_size=8)
    )


def end_to_end() -> Outcome:
    """Batch statistics, dropout and gradients through both; the last batch is of one image."""
    images, labels = digits(9)
    spec = preset("mnist", 1, "quarter", "backprop")
    net = SoftHebbNet(spec, 1, 28, 10, generator=stream(0))
    return finished(
        net, BackpropTraining(net, images, labels, images, labels, epochs=2, batch_size=4)
    )


def shallow() -> Outcome:
    """50 steps, in double precision for the same reason."""
    images, labels = digits(1600)
    net = ShallowSoftHebb(784, 100, 10, generator=stream(0)).double()
    return finished(net, OnlineTraining(net, images, labels, images, labels, batch_size=32))


def with_bias() -> Tensor:
    """Weights and log-priors after 50 steps."""
    images, _ = digits(400)
    layer = SoftHebbLinear(784, 20, bias=True, generator=stream(0))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.02)
    for batch in torch.split(images.flatten(1) / 255, 8):
        learn(layer, part(batch))
        optimizer.step()
    return torch.cat([layer.weight.detach().flatten(), layer.bias.detach()])


def everything() -> dict[str, Any]:
    blocks, features = deep()
    return {
        "blocks": blocks,
        "features": ({"all": features}, []),
        "readout": readout(),
        "end to end": end_to_end(),
        "shallow": shallow(),
        "bias": ({"all": with_bias()}, []),
    }


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    torch.save(everything(), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Outcome]]:
    """What two workers found."""
    folder = tmp_path_factory.mktemp("pair")
    mp.spawn(work, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]


@pytest.fixture(scope="module")
def alone() -> dict[str, Outcome]:
    """What one finds."""
    return everything()


@pytest.mark.parametrize("what", ["blocks", "features", "readout", "end to end", "shallow", "bias"])
def test_two_workers_equal_one(what: str, pair: Any, alone: Any) -> None:
    weights, records = alone[what]
    for found in pair:
        own_weights, own_records = found[what]
        assert own_weights.keys() == weights.keys() and len(own_records) == len(records)
        for name, value in weights.items():
            close = 1e-8 if value.dtype == torch.float64 else 1e-5
            torch.testing.assert_close(own_weights[name], value, rtol=close, atol=close)
        for own, record in zip(own_records, records, strict=True):
            assert own.pop("phase") == record["phase"]
            assert own == pytest.approx(
                {n: v for n, v in record.items() if n != "phase"}, rel=1e-4, abs=1e-5
            )
    for name, value in pair[0][what][0].items():
        assert torch.equal(value, pair[1][what][0][name])

import json
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor

import plastorch.experiments.softhebb.bench as softhebb
from plastorch.bench import run_group
from plastorch.engine.errors import InputError
from plastorch.engine.streams import stream
from plastorch.experiments.softhebb.bench import (
    Amount,
    benchmark_images,
    features_agree,
    full_amount,
    natural_like,
    updates_agree,
)
from plastorch.hebbian.networks import SoftHebbNet
from plastorch.hebbian.spec import BlockSpec, NetworkSpec, Pool

SPEC = NetworkSpec(
    "tiny",
    (
        BlockSpec(
            8, 3, padding=1, learning_rate=0.08, triangle_power=0.7, pool=Pool("max", 4, 2, 1)
        ),
        BlockSpec(
            12, 3, padding=1, learning_rate=0.01, inverse_temperature=0.5, pool=Pool("avg", 2, 2)
        ),
    ),
)
TINY = Amount(SPEC, learn=3, steps=2, frozen=2, frozen_batch=4, epochs=2, wide=8, cache=130)
NAMES = [
    *("train-step", "train-step-bf16", "features", "features-bf16", "wide-features", "readout")
]


@pytest.fixture
def images() -> Tensor:
    return natural_like(60, 8)


def test_file_of_a_tiny_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: Tensor
) -> None:
    data: dict[str, object] = {"name": "generated"}
    monkeypatch.setattr(softhebb, "benchmark_images", lambda: (images, data))
    monkeypatch.setattr(softhebb, "full_amount", lambda: TINY)
    out, told, threads = tmp_path / "results" / "bench.json", [], torch.get_num_threads()
    run_group("softhebb", out, told.append)
    contents = json.loads(out.read_text())
    assert contents["group"] == "softhebb" and contents["data"] == data
    assert contents["machine"]["threads"] == 1 and torch.get_num_threads() == threads
    assert [row["name"] for row in contents["rows"]] == NAMES
    assert [text.split()[0] for text in told] == NAMES
    for row in contents["rows"]:
        assert {"name", "ours_s", "peer", "peer_s", "ratio", "peak_mb"} <= row.keys()
        assert row["ratio"] == pytest.approx(row["peer_s"] / row["ours_s"], abs=1e-3)
        assert ("equal" in row) == (row["name"] in ("train-step", "features", "wide-features"))
        assert row.get("equal", True) and ("composed" in row) == (row["name"] == "readout")


def test_no_work_before_bad_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softhebb, "benchmark_images", lambda: pytest.fail("work began"))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"out is .*bench\.json"):
        run_group("softhebb", tmp_path / "file" / "bench.json", print)
    with pytest.raises(InputError, match=r"group is 'stdp'; expected one of .*softhebb"):
        run_group("stdp", tmp_path / "bench.json", print)


def test_a_difference_is_noticed(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    net = SoftHebbNet(SPEC, 3, 8, 10, generator=stream(0))
    assert updates_agree(net, images) and features_agree(net, images)
    other = deepcopy(net)
    with torch.no_grad():
        other.blocks[1].conv.weight[0, 0, 0, 0] += 0.1
    theirs = softhebb.peer_net(other)
    monkeypatch.setattr(softhebb, "peer_net", lambda _: deepcopy(theirs))
    assert not updates_agree(net, images) and not features_agree(net, images)


def test_near_ties_are_passed_over(images: Tensor) -> None:
    net = SoftHebbNet(SPEC, 3, 8, 10, generator=stream(0))
    net.blocks[0].conv.weight.data[1] = net.blocks[0].conv.weight.data[0]
    assert not updates_agree(net, images)  # two equal neurons: some pixel always has a tie


def test_generated_images_stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PLASTORCH_DATA", str(tmp_path))
    images, data = benchmark_images()
    assert images.dtype == torch.uint8 and images.shape[1:] == (3, 32, 32)
    assert data["name"] == "generated"
    power = torch.fft.rfft2(images[:50] - images[:50].float().mean()).abs().mean(dim=(0, 1))
    assert power[1, 1] > 3 * power[8, 8]


def test_full_amount_is_the_papers_network() -> None:
    assert [block.out_channels for block in full_amount().spec.blocks] == [96, 384, 1536]
    assert full_amount().cache > 0

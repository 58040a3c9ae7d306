import pytest
import torch

from plastorch.bench.peers import peer
from plastorch.experiments.fstdp.bench_fatigue import agree, fatigue_row
from plastorch.spiking.encode import poisson
from plastorch.spiking.events import from_raster, to_raster
from plastorch.spiking.fatigue.rule import FatiguingSTDP


def test_row_of_a_tiny_run() -> None:
    row = fatigue_row(duration=2.0, rounds=2)
    assert row["name"] == "fstdp-200" and row["equal"] is True
    assert row["ratio"] == pytest.approx(row["peer_s"] / row["ours_s"], abs=1e-3)
    assert row["ratio"] > 5


def test_a_difference_is_noticed() -> None:
    rule, generator = FatiguingSTDP(initial_theta=2.0), torch.Generator().manual_seed(0)
    events = poisson(torch.full((1, 200), 20.0), 1.0, generator)
    grid = to_raster(events, 200, 1e-3, 1000)
    on_grid = from_raster(grid, 1e-3)
    assert agree(on_grid, grid[:, 0], rule, 1.0)
    other = grid[:, 0].clone()
    other[100:120] = False
    assert not agree(on_grid, other, rule, 1.0)
    weight, fired = peer("fstdp").dense_loop(grid[:, 0].float(), rule, 1e-3)
    assert weight.dtype == torch.float32 and len(fired) > 3

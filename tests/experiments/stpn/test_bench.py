import json
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn

import plastorch.experiments.stpn.bench as stpn
from plastorch.bench import run_group
from plastorch.bench.peers import peer as peer_of
from plastorch.experiments.stpn.bench import (
    STPNSize,
    gradients_agree,
    kept_mb,
    matched_lstm,
    measure,
    measure_cell,
    measure_chunked,
)
from plastorch.stp import STPN

TINY = (STPNSize("train-step-h3", 3, 4, 2), STPNSize("train-step-h2-t3", 2, 3, 2, threads=2))


def test_file_of_a_tiny_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    against = STPNSize("train-step-lstm-h3", 3, 4, 2)
    monkeypatch.setattr(stpn, "rows", lambda: ({"name": "tiny"}, measure(TINY, against, 300)))
    out, told = tmp_path / "bench.json", []
    run_group("stpn", out, told.append)
    contents = json.loads(out.read_text())
    names = ["train-step-h3", "train-step-h2-t3", "train-step-lstm-h3"]
    assert contents["group"] == "stpn" and [row["name"] for row in contents["rows"]] == names
    assert [text.split()[0] for text in told] == names
    assert [row["peer"].endswith("2 threads") for row in contents["rows"]] == [False, True, False]
    for row in contents["rows"]:
        assert row["ratio"] == pytest.approx(row["peer_s"] / row["ours_s"], abs=1e-3)
        assert row["kept_mb"] > 0 and row["peer_kept_mb"] > 0
        assert row.get("equal", True) and ("equal" in row) == ("lstm" not in row["name"])


def test_rows_of_chunks_and_of_a_cell() -> None:
    (chunked,) = measure_chunked(STPNSize("chunked-h3-t9", 3, 9, 2), 5)
    assert chunked["name"] == "chunked-h3-t9" and chunked["equal"]
    (cell,) = measure_cell(STPNSize("cell-h3", 3, 1, 2), 5)
    assert cell["name"] == "cell-h3" and cell["equal"]


def test_peer_computes_the_same_and_a_difference_is_noticed() -> None:
    torch.manual_seed(0)
    layer, x = STPN(4, 3), torch.randn(5, 2, 4)
    nn.init.uniform_(layer.cells[0].weight_gamma, -0.3, 0.3)
    peer = peer_of("stpn").PeerSTPN(layer)
    torch.testing.assert_close(peer(x), tuple(tuple_of(layer(x))))
    assert gradients_agree(layer, peer, x)
    other = deepcopy(layer)
    with torch.no_grad():
        other.cells[0].weight[0, 0] += 0.01
    assert not gradients_agree(other, peer, x)


def tuple_of(result: tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]) -> list[object]:
    output, state = result
    return [output, (state[0], state[1])]


def test_lstm_has_as_many_parameters() -> None:
    layer = STPN(37, 64)
    wanted, found = (sum(p.numel() for p in m.parameters()) for m in (layer, matched_lstm(layer)))
    assert found == pytest.approx(wanted, rel=0.02)


def test_what_is_kept_is_counted_once() -> None:
    linear, x = nn.Linear(1000, 1000), torch.randn(250, 1000)
    assert kept_mb(linear, x) == pytest.approx(1.0, rel=0.01)  # the input; weights need no copy

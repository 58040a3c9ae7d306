"""Peers are files of a checkout; without one, what needs them is left out or refused in a line."""

from pathlib import Path

import pytest

import plastorch.experiments.stpn.bench as stpn
from plastorch.bench import groups, peers, run_group
from plastorch.engine.errors import InputError


@pytest.fixture
def no_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peers.peer.cache_clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(peers, "__file__", str(tmp_path / "a" / "b" / "c" / "peers.py"))


def test_rows_without_a_peer_are_left_out_and_named(
    no_checkout: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows that need no file of the checkout are small, and without a file only told."""
    monkeypatch.setattr(stpn, "AGAINST_LSTM", stpn.STPNSize("train-step-lstm-h3", 3, 4, 2))
    monkeypatch.setattr(stpn, "CHUNKED", stpn.STPNSize("chunked-h3", 3, 40, 2))
    told: list[str] = []
    noted: list[str] = []
    run_group("stpn", None, told.append, noted.append)
    assert [line.split()[0] for line in told] == ["train-step-lstm-h3", "chunked-h3"]
    cost, line = noted
    assert cost == f"stpn: about {stpn.COST}"
    assert "train-step-h11, " in line and "lstm" not in line and "chunked" not in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("group", ["softhebb", "spiking"])
def test_a_group_without_its_peer_is_refused(no_checkout: None, group: str, tmp_path: Path) -> None:
    assert group in groups() and not peers.has_peer(group)
    with pytest.raises(InputError, match=r"benchmarks/peers/\w+\.py is missing"):
        run_group(group, tmp_path / "bench.json", print)
    assert not list(tmp_path.iterdir())

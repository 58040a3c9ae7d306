"""The table of spiking packages: its rows, and the processes behind them, without any package."""

import importlib.util
import itertools
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from plastorch.bench.timing import Row, row

FOLDER = Path(__file__).parents[2] / "benchmarks" / "peers" / "spiking"
STUB = """
from worker import *

PACKAGES = ("numpy",)

class Network:
    def __init__(self, pixels, neurons, batch, steps):
        self.seen = 0

    def learn(self, rates):
        print("is learning")
        self.seen += len(rates)
        if self.seen > FAILS_AFTER:
            raise MemoryError("there are no more neurons")
"""


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    import table

    return table


class FakeSide:
    """A side that takes given seconds, in turn."""

    def __init__(self, seconds: list[float], digits: int, calls: list[str], name: str) -> None:
        self.ready = {"ready_s": 1.234, "versions": {name: "1.0"}}
        self.seconds, self.digits, self.calls, self.name = iter(seconds), digits, calls, name

    def learn(self) -> dict[str, Any]:
        self.calls.append(self.name)
        return {"digits": self.digits, "seconds": next(self.seconds), "peak_mb": 100}


def test_sides_take_turns_and_a_row_has_medians_per_digit(table: ModuleType) -> None:
    calls: list[str] = []
    ours = FakeSide([1.0, 9.0, 2.0], 10, calls, "ours")
    peer = FakeSide([8.0, 4.0, 100.0], 2, calls, "fast")
    row = table.compared("fast-784x100-b32", ours, peer, rounds=3)
    assert calls == ["ours", "fast"] * 3
    assert row["ours_s"] == 0.2 and row["peer_s"] == 4.0 and row["ratio"] == 20.0
    assert row["name"] == "fast-784x100-b32" and row["peer"] == "fast"
    assert (row["digits"], row["peer_digits"], row["peer_ready_s"]) == (10, 2, 1.23)
    assert row["peer_versions"] == {"fast": "1.0"}


def test_a_slow_peer_gets_fewer_turns(table: ModuleType) -> None:
    ours, peer = FakeSide([1.0] * 9, 1, [], "ours"), FakeSide([25.0] * 9, 1, [], "slow")
    assert table.compared("slow-784x1600-b32", ours, peer, rounds=9)["rounds"] == 3


def test_mini_batches_go_round(table: ModuleType) -> None:
    from worker import batches

    found = itertools.islice(batches(np.arange(5)[:, None], 3), 3)
    assert [batch[:, 0].tolist() for batch in found] == [[0, 1, 2], [3, 4, 0], [1, 2, 3]]


def test_peak_memory_is_that_of_the_process_alone(table: ModuleType) -> None:
    from worker import peak_mb

    assert peak_mb("Name:\tmain\nVmPeak:\t 90000 kB\nVmHWM:\t    8056 kB\n") == 8
    assert 5 < peak_mb() < 100_000


def test_measurements_last_as_long_as_they_should(
    table: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    import worker

    clock = [0.0]
    monkeypatch.setattr(worker.time, "process_time", lambda: clock[0])

    class Network:
        compiled = False

        def learn(self, rates: np.ndarray) -> None:
            clock[0] += 0.1 if self.compiled else 30.0
            self.compiled = True

    found = itertools.islice(worker.measurements(Network(), np.zeros((3, 1)), 4), 4)
    shown = [(each["digits"], round(each["seconds"], 6)) for each in found]
    assert shown == [(4, 30.0), (4, 0.1), (40, 1.0), (40, 1.0)]


@pytest.fixture
def stub(table: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which plastorch and the peer are networks that do nothing."""
    (tmp_path / "networks").mkdir()
    for name, fails_after in (("plastorch", 10**9), ("fine", 10**9), ("small", 3)):
        text = STUB.replace("FAILS_AFTER", str(fails_after))
        (tmp_path / "networks" / f"{name}.py").write_text(text)
    shutil.copy(FOLDER / "worker.py", tmp_path)
    np.save(tmp_path / "rates.npy", np.ones((5, 4), dtype=np.float32))
    monkeypatch.setattr(table, "WORKER", tmp_path / "worker.py")
    yield tmp_path


def test_two_processes_give_a_row(table: ModuleType, stub: Path) -> None:
    task = table.Task("fine", 100, 2, 350, str(stub / "rates.npy"))
    row = table.measured((sys.executable, "-E"), task, rounds=2)
    assert row["name"] == "fine-784x100-b2" and row["digits"] == row["peer_digits"] == 1024
    assert row["peak_mb"] > 0 and row["peer_versions"] == {"numpy": np.__version__}
    json.dumps(row)


def test_a_peer_that_fails_says_why(table: ModuleType, stub: Path) -> None:
    task = table.Task("small", 100, 2, 350, str(stub / "rates.npy"))
    with pytest.raises(RuntimeError, match="small: MemoryError: there are no more neurons"):
        table.measured((sys.executable, "-E"), task, rounds=1)


@pytest.fixture
def program(table: ModuleType) -> ModuleType:
    spec = importlib.util.spec_from_file_location("spiking_peers", FOLDER / "__main__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_result_file_keeps_rows_of_other_packages(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(interpreter: tuple[str, ...], task: Any, rounds: int) -> Row:
        assert np.load(task.rates).shape[1] == 784 and interpreter == (task.network, "-E")
        if task.network == "norse":
            raise RuntimeError("norse: no compiler")
        return row(f"{task.network}-784x{task.neurons}-b{task.batch}", 1, task.network, rounds)

    def run(*asked: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["", "--out", str(out), "--neurons", "100", *asked])
        program.main()
        found: dict[str, Any] = json.loads(out.read_text())
        return found

    out = tmp_path / "found.json"
    monkeypatch.delenv("PLASTORCH_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(program, "measured", measured)
    monkeypatch.setattr(program, "python_of", lambda name, folder: name)
    first = run("--peers", "spyker", "norse", "brian2", "--rounds", "3")
    names = ["spyker-784x100-b1", "spyker-784x100-b32", "brian2-784x100-b1"]
    assert [each["name"] for each in first["rows"]] == names  # Brian2 has no mini-batches
    assert first["data"]["left_out"] == {"norse": "norse: no compiler"}
    second = run("--peers", "spyker", "--rounds", "4")
    ratios = {each["peer"]: each["ratio"] for each in second["rows"]}
    assert ratios == {"brian2": 3, "spyker": 4}
    assert second["data"]["left_out"] == first["data"]["left_out"]


def test_every_peer_has_a_network_and_pinned_packages(table: ModuleType) -> None:
    from peers import PEERS

    networks = {path.stem for path in (FOLDER / "networks").glob("*.py")}
    assert networks == {"plastorch", *PEERS}
    for name, peer in PEERS.items():
        packages = [*peer.packages, *peer.alone]
        assert all("==" in package for package in packages)
        assert any(package.startswith(f"{name}==") for package in packages)

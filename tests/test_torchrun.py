"""The command line under torchrun: who writes, and how it stops, dies and goes on."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from plastorch.cli import main

MAZE = ("run", "stpn-maze", "--quick", "--models", "rnn")
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node=2")
TORCHRUN += ("--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0")
# The command line with a checkpoint after every step, in which a worker may end its own life, and
# steps may take so long that there is time to stop them.
COMMAND = """
import os, sys, time
from plastorch.cli import main
from plastorch.engine.loop import Loop
from plastorch.rl.a2c import ActorCriticTraining
step = ActorCriticTraining.step
def fated(self):
    time.sleep(float(os.environ.get("SLOW", 0)))
    doomed = {name: os.environ.get(name) for name in ("RANK", "TORCHELASTIC_RESTART_COUNT")}
    if os.environ.get("DIES_AT") == str(self.position) and list(doomed.values()) == ["1", "0"]:
        os.kill(os.getpid(), 9)
    return step(self)
Loop.interval_s, ActorCriticTraining.step = 0.0, fated
sys.exit(main())
"""


def start(folder: Path, *options: str, run: tuple[str, ...] = MAZE, **fate: str) -> Any:
    """torchrun with two workers and a run in a folder."""
    script = folder / "command.py"
    script.write_text(COMMAND)
    command = [sys.executable, *TORCHRUN, *options, str(script), *run, "--out", str(folder)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, env=os.environ | {"OMP_NUM_THREADS": "1"} | fate)


def said(process: Any) -> list[str]:
    """Our lines on stderr, once the process has ended."""
    _, errors = process.communicate(timeout=300)
    print(errors)  # shown if a test fails
    return re.findall("plastorch: .*", errors)  # maybe behind the other worker's progress bar


def run_of(folder: Path) -> Path:
    (found,) = folder.glob("stpn-*/*")
    return found


def measured(folder: Path) -> dict[str, float]:
    found: dict[str, Any] = json.loads((run_of(folder) / "result.json").read_text())
    assert found["complete"]
    kept = ("reward", "energy", "energy_per_neuron")
    return {name: found["metrics"][f"rnn_{name}"] for name in kept}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """What one process measures."""
    folder = tmp_path_factory.mktemp("one")
    assert main([*MAZE, "--out", str(folder)]) == 0
    return measured(folder)


def test_a_batch_that_has_no_parts_is_one_line(tmp_path: Path) -> None:
    art = ("run", "stpn-art", "--quick", "--models", "rnn", "--batch-size", "7")
    process = start(tmp_path, run=art)
    lines = said(process)
    assert process.returncode and lines == [
        "plastorch: batch_size is 7; expected a multiple of 2, the number of workers"
    ]
    assert not list(tmp_path.glob("stpn-art/*"))


def test_a_killed_worker_is_one_line_and_one_process_goes_on(
    tmp_path: Path, undisturbed: dict[str, float]
) -> None:
    process = start(tmp_path, DIES_AT="6")
    (line,) = said(process)
    assert process.returncode and "lost another worker" in line
    folder = run_of(tmp_path)
    assert line.endswith(f"; resume with: plastorch run stpn-maze --resume {folder}")
    assert main(["run", "stpn-maze", "--resume", str(folder)]) == 0
    assert measured(tmp_path) == pytest.approx(undisturbed, rel=1e-4)
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [record["iteration"] for record in steps] == [10, 20]


def test_a_restart_goes_on_by_itself(tmp_path: Path, undisturbed: dict[str, float]) -> None:
    process = start(tmp_path, "--max-restarts=3", DIES_AT="6")
    assert said(process) and process.returncode == 0
    assert measured(tmp_path) == pytest.approx(undisturbed, rel=1e-4)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_all_stop_after_the_same_step(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, SLOW="0.2")
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("stpn-maze/*/checkpoint/latest.json")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(number)
    lines = said(process)
    folder = run_of(tmp_path)
    assert lines == [f"plastorch: stopped; resume with: plastorch run stpn-maze --resume {folder}"]
    latest = json.loads((folder / "checkpoint" / "latest.json").read_text())
    assert 0 < latest["progress"]["position"] < 20

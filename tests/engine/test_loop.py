"""The loop: same bits after any stop, whether by kill -9, Ctrl-C or SIGTERM."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from plastorch.engine.errors import InputError, Interrupted
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Record, RunFolder

# A run of all phases, as an experiment does it, with a checkpoint after every step.
TRAINING = """
import sys, torch
from pathlib import Path
from plastorch.data import load_images
from plastorch.engine.checkpoint import save_tensors
from plastorch.engine.streams import stream
from plastorch.engine.loop import Loop
from plastorch.engine.run import RunFolder
from plastorch.hebbian import HebbianTraining, SoftHebbNet, preset
from plastorch.hebbian.features import FeatureExtraction, cached
from plastorch.hebbian.readout import ReadoutTraining
torch.set_num_threads(1)
Loop.interval_s = 0.0
folder = RunFolder(Path(sys.argv[1]))
images = load_images("mnist")
x, y = images.train_images[:200], images.train_labels[:200]
net = SoftHebbNet(preset("mnist", 2, "quarter"), 1, 28, 10, generator=stream(0))
loop = Loop(folder, net)
training = HebbianTraining(net, x, mode="successive", log_every=3)
features = FeatureExtraction(net, x, batch_size=50)
loop.run(training)
loop.recompute(features)
readout = cached(features.features), y, features.features, y
loop.run(ReadoutTraining(net.readout, *readout, epochs=12, batch_size=32))
save_tensors(folder.path / "final.safetensors", net.state_dict())
"""


def start(folder: Path) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(folder)], stderr=subprocess.DEVNULL
    )


def test_killed_runs_end_with_the_same_bits(tmp_path: Path) -> None:
    """kill -9 as soon as the log has so many lines, again and again, then to the end."""
    uninterrupted = tmp_path / "whole"
    assert start(uninterrupted).wait() == 0
    for count in (1, 12, 20):
        process = start(tmp_path)
        log = tmp_path / "metrics.jsonl"
        while process.poll() is None and (
            not log.exists() or log.read_bytes().count(b"\n") < count
        ):
            time.sleep(0.002)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert start(tmp_path).wait() == 0
    for name in ("final.safetensors", "metrics.jsonl"):
        assert (tmp_path / name).read_bytes() == (uninterrupted / name).read_bytes(), name


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("sum", torch.zeros(1))


class Adding:
    """Adds its position to a module's sum; may raise a signal at a step."""

    name = "adding"

    def __init__(self, module: Counting, total: int, signal_at: int = -1) -> None:
        self.module, self.position, self.total = module, 0, total
        self.signal_at, self.number = signal_at, signal.SIGINT

    def step(self) -> list[Record]:
        if self.position == self.signal_at:
            os.kill(os.getpid(), self.number)
        self.module.sum += self.position
        self.position += 1
        return [{"phase": self.name, "step": self.position}]

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        assert state == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_step_and_can_be_resumed(
    tmp_path: Path, number: signal.Signals
) -> None:
    folder, module = RunFolder(tmp_path), Counting()
    phase = Adding(module, 10, signal_at=4)
    phase.number = number
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted):
        Loop(folder, module).run(phase)
    assert phase.position == 5
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    fresh = Counting()
    loop = Loop(folder, fresh)
    assert float(fresh.sum) == sum(range(5))
    rest = Adding(fresh, 10)
    loop.run(rest)
    assert float(fresh.sum) == sum(range(10))
    steps = [
        json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps == list(range(1, 11))
    again = Adding(fresh, 10)
    Loop(folder, fresh).run(again)
    assert again.position == 0 and float(fresh.sum) == sum(range(10))


def test_a_recomputed_phase_stops_too_and_starts_anew(tmp_path: Path) -> None:
    folder, module = RunFolder(tmp_path), Counting()
    loop = Loop(folder, module)
    with pytest.raises(Interrupted):
        loop.recompute(Adding(module, 10, signal_at=4))
    assert not (tmp_path / "checkpoint").exists()
    phase = Adding(module, 3)
    Loop(folder, module).recompute(phase)
    assert phase.position == 3


def test_a_suffix_tells_apart_phases_of_one_name(tmp_path: Path) -> None:
    folder, module = RunFolder(tmp_path), Counting()
    loop = Loop(folder, module)
    loop.run(Adding(module, 3))
    loop.suffix = "-2"
    loop.recompute(Adding(module, 2))
    with pytest.raises(Interrupted):
        loop.run(Adding(module, 5, signal_at=1))
    loop, rest = Loop(folder, module), [Adding(module, 3), Adding(module, 5)]
    for phase, loop.suffix in zip(rest, ("", "-2"), strict=True):
        loop.run(phase)
    assert float(module.sum) == sum(range(3)) + sum(range(2)) + sum(range(5))
    assert rest[0].position == 0 and loop.seconds.keys() == {"adding", "adding-2"}
    steps = [(line["phase"], line["step"]) for line in lines(tmp_path)]
    expected = [("adding", 3), ("adding-2", 2), ("adding-2", 5)]
    assert steps == [(name, step) for name, most in expected for step in range(1, most + 1)]


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def jobs(done: list[int], stops: dict[int, Callable[[], object]], count: int = 5) -> Jobs:
    """Job i notes that it ran, logs i records, and before that does what ``stops`` has for it."""

    def job(i: int) -> list[Record]:
        stops.pop(i, lambda: None)()
        done.append(i)
        return [{"job": i, "part": part} for part in range(i)]

    return Jobs("many", [partial(job, i) for i in range(count)])


def test_jobs_run_in_order_and_their_records_tell_phase_and_step() -> None:
    done: list[int] = []
    phase = jobs(done, {})
    assert (phase.name, phase.position, phase.total) == ("many", 0, 5)
    records = []
    for position in range(1, 6):
        found = phase.step()
        assert phase.position == position
        assert found == [
            {"phase": "many", "step": position, "job": position - 1, "part": part}
            for part in range(position - 1)
        ]
        records += found
    assert done == list(range(5)) and len(records) == 10
    assert phase.state_dict() == {}


def test_no_jobs_are_no_work(tmp_path: Path) -> None:
    phase = Jobs("none", [])
    Loop(RunFolder(tmp_path), Counting()).run(phase)
    assert phase.position == phase.total == 0
    assert not (tmp_path / "metrics.jsonl").exists()


@pytest.mark.parametrize("stopped", [[0], [2], [4], [1, 3]], ids=str)
def test_interrupted_jobs_go_on_without_repeating_any(tmp_path: Path, stopped: list[int]) -> None:
    """A signal during a job lets it end; the next sitting starts with the one after it."""
    whole, done = tmp_path / "whole", []
    whole.mkdir()
    Loop(RunFolder(whole), Counting()).run(jobs([], {}))
    stops = {i: partial(signal.raise_signal, signal.SIGINT) for i in stopped}
    for i in stopped:
        with pytest.raises(Interrupted):
            Loop(RunFolder(tmp_path), Counting()).run(jobs(done, stops))
        assert done == list(range(i + 1))
    Loop(RunFolder(tmp_path), Counting()).run(jobs(done, stops))
    assert done == list(range(5))
    assert lines(tmp_path) == lines(whole)


@pytest.mark.parametrize(("interval", "lost"), [(0.0, 0), (1e9, 3)])
def test_jobs_after_the_last_checkpoint_are_done_again_but_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interval: float, lost: int
) -> None:
    monkeypatch.setattr(Loop, "interval_s", interval)

    def die() -> None:
        raise RuntimeError("killed")

    done: list[int] = []
    with pytest.raises(RuntimeError, match="killed"):
        Loop(RunFolder(tmp_path), Counting()).run(jobs(done, {3: die}))
    Loop(RunFolder(tmp_path), Counting()).run(jobs(done, {}))
    assert done == [0, 1, 2, *range(3 - lost, 5)]
    assert [(line["job"], line["part"]) for line in lines(tmp_path)] == [
        (i, part) for i in range(5) for part in range(i)
    ]


def test_log_lines_after_the_checkpoint_are_forgotten(tmp_path: Path) -> None:
    folder, module = RunFolder(tmp_path), Counting()
    Loop(folder, module).run(Adding(module, 2))
    folder.log([{"phase": "later", "step": 1}])
    Loop(folder, module)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_seconds_add_up_over_sittings(tmp_path: Path) -> None:
    folder, module = RunFolder(tmp_path), Counting()
    with pytest.raises(Interrupted):
        Loop(folder, module).run(Adding(module, 10, signal_at=4))
    loop = Loop(folder, module)
    before = loop.wall_s
    loop.run(Adding(module, 10))
    assert loop.wall_s > before > 0


def test_peak_memory_is_that_of_the_hungriest_sitting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, model = RunFolder(tmp_path), nn.Linear(2, 2)
    for number, peak in enumerate((2.0, 3.5, 1.0)):
        monkeypatch.setattr("plastorch.engine.loop.peak_memory_gb", lambda peak=peak: peak)
        loop = Loop(run, model)
        loop.run(Jobs(f"jobs-{number}", [list]))
    assert loop.peak_memory_gb == 3.5


def test_checkpoint_of_another_architecture(tmp_path: Path) -> None:
    folder, module = RunFolder(tmp_path), Counting()
    Loop(folder, module).run(Adding(module, 2))
    with pytest.raises(InputError, match="another architecture"):
        Loop(folder, nn.Linear(2, 2))


def test_without_a_terminal_lines_tell_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Loop, "line_s", 0.0)
    Loop(RunFolder.create(tmp_path, "e", {"seed": 0}), nn.Module()).run(jobs([], {}, 3))
    told = [line for line in capsys.readouterr().err.splitlines() if "to go" in line]
    assert [line.partition(",")[0] for line in told] == [f"many: {n} of 3" for n in (1, 2)]
    assert told[-1].endswith("0:00:00 so far, 0:00:00 to go")

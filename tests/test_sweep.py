"""``plastorch sweep``: no run lost or repeated, and one clear line for every mistake."""

import contextlib
import csv
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterable
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from plastorch.cli import main
from plastorch.cli.sweep import SweepOptions, _seeds, _values, grid_of
from plastorch.engine import cluster as cluster_module
from plastorch.engine.cluster import check_address, cluster
from plastorch.engine.errors import InputError
from plastorch.engine.loop import Loop
from plastorch.engine.run import RunFolder, locked
from plastorch.engine.sweep_plan import LOCK, PLAN, Sweep
from plastorch.experiments import trials
from plastorch.experiments.ray_trials import run_on_ray
from plastorch.experiments.registry import experiments, find, resolved

SMALL = ("stpn-maze", "--quick", "--models", "rnn")
SWEEP = ("sweep", *SMALL, "--learning-rate", "1e-4,0.01", "--seeds", "0-2")


@pytest.fixture
def serial(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Trials one after the other in this process; the numbers of those that were run."""
    run: list[int] = []

    def run_here(sweep: Sweep, numbers: Iterable[int]) -> Generator[trials.Ended, None, None]:
        for number in numbers:
            run.append(number)
            yield number, trials.run_trial(sweep.path, number)

    monkeypatch.setattr(trials, "run_here", run_here)
    return run


def sweep_of(runs: Path) -> Path:
    (found,) = runs.glob("sweeps/*")
    return found


def table_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def finished(runs: Path) -> dict[str, int]:
    """When each run that is done wrote its result."""
    return {
        str(run.relative_to(runs)): (run / "result.json").stat().st_mtime_ns
        for run in runs.glob("stpn-maze/*")
        if RunFolder(run).finished()
    }


def test_a_killed_sweep_loses_and_repeats_no_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """kill -9 of the command, then of a process that runs a trial."""
    runs = tmp_path / "runs"
    command = [sys.executable, "-m", "plastorch", *SWEEP, "--out", str(runs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            deadline = time.monotonic() + 900
            while len(finished(runs)) < 2:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            process.kill()
        out, err = process.communicate()
    assert out == b"" and b"Traceback" not in err
    path = sweep_of(runs)
    before = finished(runs)
    assert 2 <= len(before) < 6
    with locked(path / LOCK):  # nobody else goes on with it now
        assert main(["sweep", "stpn-maze", "--resume", str(path)]) == 2
    assert "in use by another process" in capfd.readouterr().err

    killed: list[int] = []
    killer = threading.Thread(target=_kill_one, args=(runs, killed))
    killer.start()
    assert main(["sweep", "stpn-maze", "--resume", str(path)]) == 0
    killer.join()
    assert killed and "Traceback" not in capfd.readouterr().err
    after = finished(runs)
    assert len(after) == 6 and {run: after[run] for run in before} == before
    assert len(list(runs.glob("stpn-maze/*"))) == 6
    _check_results(runs, path)
    capfd.readouterr()
    assert main(["sweep", "stpn-maze", "--resume", str(path), "--json"]) == 0
    assert finished(runs) == after
    files = [runs / run / "result.json" for run in after]
    printed = json.loads(capfd.readouterr().out)
    text = partial(json.dumps, sort_keys=True)
    assert sorted(map(text, printed)) == sorted(text(json.loads(f.read_text())) for f in files)


def _check_results(runs: Path, path: Path) -> None:
    """Each setting and seed once, each step of each run once, and the tables say what they say."""
    found: dict[tuple[float, int], dict[str, Any]] = {}
    for run in runs.glob("stpn-maze/*"):
        result = json.loads((run / "result.json").read_text())
        found[result["config"]["learning_rate"], result["seed"]] = result["metrics"]
        lines = (run / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["iteration"] for line in lines] == [10, 20]
        assert (run / "report.html").is_file()
    assert sorted(found) == [(rate, seed) for rate in (1e-4, 0.01) for seed in range(3)]
    alone = ["run", *SMALL, "--learning-rate", "0.01", "--seed", "2", "--out", str(path / "alone")]
    assert main(alone) == 0
    (result_file,) = path.glob("alone/stpn-maze/*/result.json")
    expected = json.loads(result_file.read_text())["metrics"]["rnn_reward"]
    assert found[0.01, 2]["rnn_reward"] == pytest.approx(expected)
    for row in table_of(path / "table.csv"):
        rewards = [found[float(row["learning_rate"]), seed][row["metric"]] for seed in range(3)]
        assert float(row["mean"]) == pytest.approx(fmean(rewards))
        assert float(row["sd"]) == pytest.approx(stdev(rewards)) and row["seeds"] == "3"
    assert [row["state"] for row in table_of(path / "runs.csv")] == ["done"] * 6
    assert (path / "report.html").is_file() and (path / "figures" / "sweep.png").is_file()


def _kill_one(runs: Path, killed: list[int]) -> None:
    """Kills the first process that has a run folder of its own."""
    deadline = time.monotonic() + 900
    while not killed and time.monotonic() < deadline:
        for files in Path("/proc").glob("[0-9]*/fd"):
            with contextlib.suppress(OSError):
                opened = [os.readlink(file) for file in files.iterdir()]
                held = any(name.startswith(f"{runs}/stpn-maze/") for name in opened)
                if held and int(files.parent.name) != os.getpid():
                    os.kill(int(files.parent.name), signal.SIGKILL)
                    killed.append(int(files.parent.name))
                    return
        time.sleep(0.02)


def test_ctrl_c_ends_the_processes_at_a_checkpoint(tmp_path: Path) -> None:
    arguments = ["sweep", "stpn-maze", "--models", "rnn", "--agents", "32", "--steps", "50"]
    arguments += ["--seeds", "0-2", "--out", str(tmp_path)]
    command = [sys.executable, "-m", "plastorch", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 300
        while not list(tmp_path.glob("stpn-maze/*/metrics.jsonl")):  # it has begun
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 130 and "Traceback" not in err
    path = sweep_of(tmp_path)
    assert f"resume with: plastorch sweep stpn-maze --resume {path}\n" in err
    assert list(tmp_path.glob("stpn-maze/*/checkpoint/latest.json"))
    assert Sweep.load(path).waiting() == [0, 1, 2] and not Sweep.load(path).failed


def test_a_process_that_keeps_dying_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    sweep = Sweep.create(tmp_path, "stpn-maze", fields={}, settings=[{}], seeds=[0], cpus=1)
    assert list(trials.run_here(sweep, [0])) == [(0, trials.DIED)]


def test_processes_have_gpus_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(8))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [place["CUDA_VISIBLE_DEVICES"] for place in trials.places(2)] == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert [place["CUDA_VISIBLE_DEVICES"] for place in trials.places(8, "cuda")] == ["5"]
    assert [place["OMP_NUM_THREADS"] for place in trials.places(3, "cpu")] == ["3", "3"]
    monkeypatch.setattr(trials.torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match="there is no GPU"):
        trials.places(1, "cuda")


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_trials_on_ray(
    tmp_path: Path, one_ray: None, serial: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """The cluster has the same runs as this machine."""
    pytest.importorskip("ray")
    assert main(["sweep", *SMALL, "--seeds", "0,1", "--out", str(tmp_path)]) == 0
    sweep = Sweep.load(sweep_of(tmp_path))
    again = Sweep.create(
        tmp_path / "ray",
        "stpn-maze",
        fields=sweep.fields,
        settings=sweep.settings,
        seeds=[0, 1],
        cpus=1,
    )
    with cluster(None):
        assert sorted(run_on_ray(again, [0, 1])) == [(0, ""), (1, "")]
    for one, other in zip(sweep.trials, again.trials, strict=True):
        logs = [(s.folder(t).path / "metrics.jsonl") for s, t in ((sweep, one), (again, other))]
        assert logs[0].read_text() == logs[1].read_text()


def test_a_trial_goes_on_from_its_checkpoint(
    tmp_path: Path, serial: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop in the middle of the second run: it goes on, and no other is done again."""
    arguments = ["sweep", *SMALL, "--seeds", "0,1"]
    assert main([*arguments, "--out", str(tmp_path / "whole")]) == 0
    save, begun = Loop._save, []

    def stopping(loop: Loop, phase: Any) -> None:
        save(loop, phase)
        begun.append(phase.position if phase else None)
        if begun.count(None) == 1 and begun[-1] == 12:
            raise KeyboardInterrupt

    monkeypatch.setattr(Loop, "interval_s", 0.0)
    monkeypatch.setattr(Loop, "_save", stopping)
    assert main([*arguments, "--out", str(tmp_path / "stopped")]) == 130
    path = sweep_of(tmp_path / "stopped")
    assert len(finished(tmp_path / "stopped")) == 1 and serial == [0, 1, 0, 1]
    begun.clear()
    begun.append(None)
    begun.append(None)
    assert main(["sweep", "stpn-maze", "--resume", str(path)]) == 0
    assert serial == [0, 1, 0, 1, 1] and begun[2] == 13
    for seed in (0, 1):
        logs = [
            next((tmp_path / name).glob(f"stpn-maze/*-seed{seed}/metrics.jsonl")).read_text()
            for name in ("whole", "stopped")
        ]
        assert logs[0] == logs[1]


def test_failed_runs_are_told_and_tried_again(
    tmp_path: Path, serial: list[int], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """One lacks its data, one meets a fault of ours, one runs on less than all data."""
    experiment, faulty = find("stpn-maze"), [1, 2]

    def measure(config: Any, session: Any) -> dict[str, Any]:
        if session.seed == 1 and 1 in faulty:
            raise RuntimeError("a fault\nof ours")
        if session.seed == 2 and 2 in faulty:
            raise InputError("no data")
        result = resolved(experiment.measure)(config, session)
        result["data"]["notice"] = "half of it"
        session.run.write_result(result)
        return result

    broken = dataclasses.replace(experiment, measure=measure)
    monkeypatch.setitem(experiments(), "stpn-maze", broken)
    assert main(["sweep", *SMALL, "--seeds", "0-2", "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    path = sweep_of(tmp_path)
    assert "seed 2: failed: no data\n" in printed.out
    assert "seed 1: failed: RuntimeError: a fault; more in " in printed.out
    assert "NOTE half of it" in printed.err
    (notes,) = tmp_path.glob("stpn-maze/*/error.txt")
    assert "of ours" in notes.read_text()
    rows = table_of(path / "runs.csv")
    assert [row["state"] for row in rows] == ["done", "failed", "failed"]
    assert "not finished" in (path / "report.html").read_text()
    faulty.remove(1)
    assert main(["sweep", "stpn-maze", "--resume", str(path)]) == 1
    assert serial == [0, 1, 2, 1, 2]
    assert [row["state"] for row in table_of(path / "runs.csv")] == ["done", "done", "failed"]
    assert not list(tmp_path.glob("stpn-maze/*/error.txt"))
    assert main(["report", str(tmp_path)]) == 0
    assert f"./sweeps/{path.name}/report.html" in (tmp_path / "index.html").read_text()


MISTAKES = [
    (["softhebb-mnst"], "did you mean softhebb-mnist?"),
    (["softhebb-mnist", "--dept", "1,2"], "did you mean --depth?"),
    (["softhebb-mnist", "--depth", "1,two"], "--depth"),
    (["softhebb-mnist", "--depth", "1,9"], "depth is 9"),
    (["softhebb-mnist", "--rule", "hard,sotf"], "did you mean soft?"),
    (["softhebb-mnist", "--depth", "1,,2"], "depth is '1,,2'; expected values separated by commas"),
    (["softhebb-mnist", "--depth", "1,1"], "depth is '1,1'; expected each value once"),
    (["stpn-art", "--models", "stpn 'lstm"], "models is"),
    (["stpn-art", "--models", "stpn lstmm,rnn"], "did you mean lstm?"),
    (["softhebb-mnist", "--seeds", "3-1"], "seeds is '3-1'"),
    (["softhebb-mnist", "--seeds", "0,0-2"], "each seed once"),
    (["softhebb-mnist", "--seeds", "all"], "seeds is 'all'"),
    (["softhebb-mnist", "--seeds", "0-9999", "--depth", "1,2"], "20,000 runs"),
    (["softhebb-mnist", "--cpus-per-run", "0"], "cpus_per_run is 0"),
    (["softhebb-mnist", "--cpus-per-run", "9999"], "cpus_per_run is 9999; expected at most"),
    (["softhebb-mnist", "--device", "cuda:1"], "device is 'cuda:1'"),
    (["softhebb-mnist", "--data", "no/such"], "no/such"),
    (["softhebb-mnist", "--resume", "no/such"], "no/such is not a sweep's folder"),
    (["softhebb-mnist", "--resume", "no/such", "--depth", "1"], "expected no fields, and no"),
    (["softhebb-mnist", "--resume", "no/such", "--seeds=5"], "expected no fields, and no"),
    (["softhebb-mnist", "--resume", "no/such", "--quick"], "expected no fields, and no"),
    (["softhebb-mnist", "--address", "localhost:1"], "ray start --head --port=1"),
    (["softhebb-mnist", "--address", "ray://localhost:1"], "expected HOST:PORT"),
    (["softhebb-mnist", "--address", "localhost"], "expected HOST:PORT"),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=lambda value: str(value)[:60])
def test_mistakes_are_one_clear_line_and_nothing_starts(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    begin = time.monotonic()
    assert main(["sweep", *arguments]) == 2
    assert time.monotonic() - begin < 60
    printed = capfd.readouterr()
    (line,) = printed.err.strip().splitlines()
    assert line.startswith("plastorch: ") and words in line and printed.out == ""
    assert not list(tmp_path.iterdir())


def test_a_missing_ray_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["sweep", *SMALL, "--address", "auto"]) == 2
    expected = 'plastorch: ray is missing; expected: pip install "plastorch[ray]"\n'
    assert capsys.readouterr().err == expected


def test_help(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for arguments in ([], ["--help"]):
        assert main(["sweep", *arguments]) == 0
        assert "softhebb-mnist" in capsys.readouterr().out
    assert main(["sweep", "stec-audio", "--help"]) == 0
    printed = capsys.readouterr().out
    for words in ("--seeds", "--own-seeds A,B,…", "(default: simclr byol relic)", "--cpus-per-run"):
        assert words in printed


@pytest.mark.parametrize("kind", ["silent", "other"])
def test_what_is_no_ray_is_told_within_seconds(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "REACH_S", 0.5)
    with socket.create_server(("localhost", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                if kind == "other":
                    connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                time.sleep(1)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(InputError, match="no Ray cluster answers there"):
            check_address(f"localhost:{server.getsockname()[1]}")
        thread.join()


@pytest.mark.parametrize("address", [None, "auto"])
def test_sigterm_while_ray_starts_is_ctrl_c(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")

    def init(address: str, **options: Any) -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as Ray has it
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(ray, "init", init)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), cluster(address):
        pytest.fail("it has started")
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("experiment", experiments())
def test_every_setting_can_be_swept(experiment: str) -> None:
    """Each field is an option, and takes its own default as ``plastorch run`` does."""
    config = resolved(find(experiment).config)
    grid = grid_of(config)
    assert [f.name for f in dataclasses.fields(grid)] == [
        f.name for f in dataclasses.fields(config)
    ]
    for field in dataclasses.fields(config):
        default = field.default
        if default is None:
            continue
        text = " ".join(map(str, default)) if isinstance(default, tuple) else str(default)
        assert _values(config, field.name, text, "prog") == [default]


def test_values_of_all_kinds() -> None:
    values = {
        ("stpn-art", "models", "stpn lstm,rnn"): [("stpn", "lstm"), ("rnn",)],
        ("stpn-art", "learning_rate", "0.1, 1e-3"): [0.1, 1e-3],
        ("softhebb-mnist", "statistics_pass", "True,False"): [True, False],
        ("stpn-familiarity", "updates", "None,7"): [None, 7],
        ("stec-audio", "factor_weights", "1 0.5 1 0 0"): [(1.0, 0.5, 1.0, 0.0, 0.0)],
        ("stec-audio", "shuffled", ""): [()],
    }
    for (experiment, field, text), expected in values.items():
        assert _values(resolved(find(experiment).config), field, text, "prog") == expected
    assert _seeds("0-2, 7,5-6") == [0, 1, 2, 7, 5, 6]
    assert _seeds(f"{2**63 - 2}-{2**63 - 1}") == [2**63 - 2, 2**63 - 1]
    with pytest.raises(InputError, match=r"expected numbers below 2\*\*63"):
        _seeds(str(2**63))
    assert SweepOptions(device="cuda").cpus_per_run == 1


def test_a_plan_is_kept_and_checked(tmp_path: Path) -> None:
    settings: list[dict[str, Any]] = [{"depth": 1}, {"depth": 2}]
    fields: dict[str, list[Any]] = {"depth": [1, 2]}
    sweep = Sweep.create(
        tmp_path, "softhebb-mnist", fields=fields, settings=settings, seeds=[4, 7], cpus=1
    )
    assert Sweep.load(sweep.path) == sweep
    assert len({trial.run for trial in sweep.trials}) == 4 and sweep.waiting() == [0, 1, 2, 3]
    assert [(t.seed, sweep.values(t)["depth"]) for t in sweep.trials] == [
        (4, 1), (4, 2), (7, 1), (7, 2)
    ]  # fmt: skip
    run = sweep.begin(sweep.trials[3])
    assert run.config == {"experiment": "softhebb-mnist", "depth": 2, "seed": 7}
    run.write_result({"complete": True})
    assert sweep.waiting() == [0, 1, 2]
    plan = json.loads((sweep.path / PLAN).read_text())
    for damage in ({"trials": 3}, {"settings": []}, {"fields": None}, {"fields": {"depth": 5}},
                   {"settings": [], "trials": [], "fields": {}}, {"more": 1}, {"failed": []},
                   {"trials": [{"run": "../../etc", "setting": 0, "seed": 0}]}):  # fmt: skip
        (sweep.path / PLAN).write_text(json.dumps(plan | damage))
        with pytest.raises(InputError, match="is damaged"):
            Sweep.load(sweep.path)
    (sweep.path / PLAN).write_text("[")
    with pytest.raises(InputError, match="is damaged"):
        Sweep.load(sweep.path)


def test_what_a_sweep_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that a machine does not see, and a sweep of another experiment."""
    with pytest.raises(InputError, match="is not a sweep's folder"):
        trials.run_trial(tmp_path / "elsewhere", 0)
    sweep = Sweep.create(tmp_path, "stpn-maze", fields={}, settings=[{}], seeds=[0], cpus=1)
    assert main(["sweep", "stpn-art", "--resume", str(sweep.path)]) == 2
    assert "a sweep of stpn-maze; expected one of stpn-art" in capsys.readouterr().err

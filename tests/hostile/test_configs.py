"""Run folders of strangers: what ``--resume``, ``plastorch report`` and listening read in them."""

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plastorch.cli import main
from plastorch.data.audio.logmel import LogMel
from plastorch.engine.checkpoint import save_checkpoint, save_tensors
from plastorch.engine.errors import InputError
from plastorch.engine.run import RunFolder
from plastorch.experiments import run as running
from plastorch.experiments.rank.listen import load_ear, newest_trained
from plastorch.experiments.rank.speech_networks import RankSpeechConfig, rank_name
from plastorch.experiments.registry import experiments, panels_of, resolved
from plastorch.experiments.softhebb.panels import panels
from plastorch.report import page, write_gallery, write_report
from plastorch.report.load import load_run

pytestmark = pytest.mark.filterwarnings("ignore")  # numbers that are not finite can't be drawn well
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([-1, 2**31, 2**63, 10**40, 10**400, 1e308, float("nan"), float("-inf")])
    | st.sampled_from(["", "../../x", "<script>", "\ud800", "a" * 5000, "cuda:99", "/dev/zero"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def nothing_runs() -> Iterator[None]:
    """The way to an experiment is what is tested, not the experiment."""

    def found(name: str) -> Any:
        known = experiments().get(name)
        if known is None:
            raise InputError(f"EXPERIMENT is {name!r}")
        return dataclasses.replace(known, measure=lambda config, session: {"claims": []})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "find", found)
        patch.setattr(running, "keep_freed_memory", lambda: None)
        patch.setattr(page, "to_png", lambda figure, dpi=0: b"png")
        yield
    torch.set_num_threads(1)


def config(name: str) -> dict[str, Any]:
    own = resolved(experiments()[name].config)()
    options = running.settings(own, seed=0, quick=True, data=None, device="cpu", threads=1)
    return {"experiment": name, **options}


def resume(run: Path) -> Any:
    return running.run_or_resume(RunFolder(run), lambda text: None)


@pytest.mark.parametrize("name", experiments())
def test_genuine_configurations_are_taken(nothing_runs: None, name: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config(name)))
    assert resume(tmp_path) == {"claims": []}


@settings(max_examples=150)
@given(data=st.data(), name=st.sampled_from(sorted(experiments())), value=VALUES)
def test_settings_of_other_types(
    nothing_runs: None, survives: Any, folder: Path, data: Any, name: str, value: Any
) -> None:
    given = config(name)
    given[data.draw(st.sampled_from(sorted(given)), "key")] = value
    (folder / "config.json").write_text(json.dumps(given))
    survives(resume, folder)
    torch.set_num_threads(1)


@given(data=st.data())
def test_damaged_configurations(
    nothing_runs: None, damaged: Any, survives: Any, folder: Path, data: Any
) -> None:
    content = json.dumps(config("stec-cifar10")).encode()
    (folder / "config.json").write_bytes(damaged(data, content))
    survives(resume, folder)
    torch.set_num_threads(1)


@pytest.mark.parametrize("content", [b"[" * 200_000, b"\xff\xfe", b"", b"null", b"NaN", b'{"a":1}'])
def test_files_that_are_no_configurations(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_bytes(content)
    assert main(["run", "rank-toy", "--resume", str(tmp_path)]) == 2
    assert "is damaged" in capsys.readouterr().err


def test_a_pipe_for_a_configuration(tmp_path: Path, bounded: Any) -> None:
    os.mkfifo(tmp_path / "config.json")
    with bounded():
        assert main(["run", "rank-toy", "--resume", str(tmp_path)]) == 2


RESULT: dict[str, Any] = {
    "experiment": "rank-toy",
    "paper": "a paper",
    "config": {"seed": 0, "epochs": 3, "models": ["a"]},
    "data": {"name": "toy", "n_train": 3, "classes": ["a", "b"]},
    "seed": 0,
    "metrics": {"test_accuracy": 0.5, "train_s": 3.0, "peak_memory_gb": 0.1},
    "claims": [
        {"id": "a", "statement": "b", "target": 1, "measured": 2, "holds": True, "origin": "ours"}
    ],
    "wall_s": 3.0,
    "device": "cpu",
    "versions": {"torch": "2"},
    "quick": False,
    "complete": True,
}
ROWS = [
    {"phase": "readout", "epoch": 1, "train_accuracy": 0.5, "test_accuracy": 0.4},
    {"phase": "readout", "epoch": 2, "train_accuracy": 0.6, "test_accuracy": 0.5},
    {"phase": "unsupervised", "layer": 0, "examples": 10, "radius_mean": 1.0, "radius_std": 0.1},
    {"phase": "training", "step": 1, "loss": 0.5},
    {"phase": "training", "step": 2, "loss": 0.4},
]


def run_folder(runs: Path, result: Any = RESULT, rows: Any = ROWS) -> Path:
    run = runs / "rank-toy" / "20260101-000000-seed0"
    run.mkdir(parents=True, exist_ok=True)
    (run / "result.json").write_text(json.dumps(result))
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def replaced(data: Any, whole: Any, value: Any) -> Any:
    """A JSON document with a value in the place of one of all that it holds."""
    whole = json.loads(json.dumps(whole))
    part = whole
    while True:
        key = data.draw(
            st.sampled_from(sorted(part) if isinstance(part, dict) else range(len(part)))
        )
        inside = part[key]
        if not isinstance(inside, dict | list) or not inside or data.draw(st.booleans()):
            part[key] = value
            return whole
        part = inside


@settings(max_examples=60)
@given(data=st.data(), value=VALUES, rows=st.booleans())
def test_reports_of_wrong_values(
    nothing_runs: None, survives: Any, folder: Path, data: Any, value: Any, rows: bool
) -> None:
    if rows:
        run = run_folder(folder, rows=replaced(data, ROWS, value))
    else:
        run = run_folder(folder, replaced(data, RESULT, value))
    survives(write_report, run, panels)
    survives(write_gallery, folder, panels_of)


@given(data=st.data(), name=st.sampled_from(["result.json", "metrics.jsonl"]))
def test_reports_of_damaged_files(
    nothing_runs: None, damaged: Any, survives: Any, folder: Path, data: Any, name: str
) -> None:
    run = run_folder(folder)
    (run / name).write_bytes(damaged(data, (run / name).read_bytes()))
    survives(load_run, run)


@given(data=st.data())
def test_reports_of_damaged_arrays(
    nothing_runs: None, damaged: Any, survives: Any, folder: Path, data: Any
) -> None:
    run = run_folder(folder)
    arrays = {"confusion": torch.ones(2, 2), "filters": torch.ones(2, 3, 2, 2)}
    save_tensors(run / "arrays.safetensors", arrays)
    content = (run / "arrays.safetensors").read_bytes()
    (run / "arrays.safetensors").write_bytes(damaged(data, content))
    survives(write_report, run, panels)
    (run / "arrays.safetensors").unlink()


ARRAYS = {
    "no pixels": {"filters": torch.ones(5, 3, 0, 0)},
    "no filters": {"filters": torch.ones(0, 3, 2, 2)},
    "many of nothing": {"filters": torch.ones(10**9, 3, 0, 2)},
    "no classes": {"confusion": torch.ones(0, 0)},
    "bf16": {"confusion": torch.ones(2, 2, dtype=torch.bfloat16)},
    "not finite": {
        "filters": torch.full((2, 3, 2, 2), float("nan")),
        "confusion": torch.full((2, 2), float("inf")),
    },
    "flat": {"confusion": torch.ones(4), "filters": torch.ones(4)},
}


@pytest.mark.parametrize("name", ARRAYS)
def test_reports_of_odd_arrays(
    nothing_runs: None, survives: Any, tmp_path: Path, name: str
) -> None:
    run = run_folder(tmp_path)
    save_tensors(run / "arrays.safetensors", ARRAYS[name])
    survives(write_report, run, panels)


@pytest.mark.parametrize("name", ["result.json", "metrics.jsonl"])
def test_deep_json_is_refused(survives: Any, tmp_path: Path, name: str) -> None:
    run = run_folder(tmp_path)
    (run / name).write_text("[" * 200_000 + "\n{}\n")
    assert survives(write_report, run) is None
    page = write_gallery(tmp_path).read_text()
    assert "Cannot be read" in page and len(page) < 100_000


def test_one_bad_run_doesn_t_hide_the_others(nothing_runs: None, tmp_path: Path) -> None:
    run_folder(tmp_path)
    other = tmp_path / "rank-toy" / "20260102-000000-seed1"
    other.mkdir()
    (other / "result.json").write_text(json.dumps(RESULT | {"seed": [1], "config": {"<b>": []}}))
    page = write_gallery(tmp_path).read_text()
    assert "1 run of 1 experiment, 1 that cannot be read" in page


def test_reports_are_not_written_through_links(tmp_path: Path, nothing_runs: None) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    run = run_folder(tmp_path / "runs")
    (run / "figures").symlink_to(outside)
    with pytest.raises(InputError, match="is a link"):
        write_report(run)
    (run / "figures").unlink()
    (run / f"report.html.{os.getpid()}.partial").symlink_to(outside / "page")
    write_report(run)
    assert list(outside.iterdir()) == []


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of rank-speech with an untrained network."""
    run, front = tmp_path_factory.mktemp("trained"), LogMel(8000)
    settings = RankSpeechConfig(hidden_size=4, thresholds=(0.7,), entropy_weights=(0.0,))
    name = rank_name(0.7, 0.0)
    net = settings.network(settings.models()[name], front.bands, 2)
    tensors = {f"model.{name}.{key}": value for key, value in net.state_dict().items()}
    save_checkpoint(run / "checkpoint", tensors, {})
    scale = {"scale.mean": torch.zeros(front.bands), "scale.deviation": torch.ones(front.bands)}
    save_tensors(run / "arrays.safetensors", scale)
    result = {
        "experiment": "rank-speech",
        "complete": True,
        "quick": False,
        "config": json.loads(json.dumps(dataclasses.asdict(settings))),
        "metrics": {"chosen_threshold": 0.7, "chosen_entropy_weight": 0.0},
        "data": {"rate": 8000, "classes": ["yes", "<script>"]},
    }
    (run / "result.json").write_text(json.dumps(result))
    return run


@given(data=st.data(), value=VALUES)
def test_networks_of_strangers_that_listen(
    survives: Any, trained: Path, data: Any, value: Any
) -> None:
    path = trained / "result.json"
    before = path.read_text()
    assert load_ear(trained).words == ("yes", "<script>")
    try:
        path.write_text(json.dumps(replaced(data, json.loads(before), value)))
        survives(load_ear, trained, megabytes=100)
        survives(newest_trained, trained.parent / "other", True)
    finally:
        path.write_text(before)

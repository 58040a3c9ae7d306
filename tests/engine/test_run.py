"""Run folders, results and the machine."""

import json
from pathlib import Path

import pytest
import torch

from plastorch.engine.device import (
    fast_matmul,
    keep_freed_memory,
    peak_memory_gb,
    select_device,
)
from plastorch.engine.errors import InputError
from plastorch.engine.run import RunFolder, result
from plastorch.engine.streams import stream


def test_folders_of_one_second_do_not_collide(tmp_path: Path) -> None:
    runs = [RunFolder.create(tmp_path, "softhebb-mnist", {"seed": 3}) for _ in range(3)]
    assert len({run.path for run in runs}) == 3
    for run in runs:
        assert run.path.parent == tmp_path / "softhebb-mnist" and "-seed3" in run.path.name
        assert run.config == {"experiment": "softhebb-mnist", "seed": 3}


def test_unwritable_out_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(InputError, match="out is"):
            RunFolder.create(out, "softhebb-mnist", {"seed": 0})


def test_an_empty_run_leaves_nothing_behind(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "e", {"seed": 0})
    run.discard_if_empty()
    assert not run.path.exists()
    run = RunFolder.create(tmp_path, "e", {"seed": 0})
    run.log([{"phase": "a", "step": 1}])
    run.discard_if_empty()
    assert (run.path / "config.json").exists()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "experiment", {"seed": 0})
    used = pytest.raises(InputError, match="in use by another process")
    with run.alone(), used, RunFolder(run.path).alone():
        pytest.fail("two at a time")
    with RunFolder(run.path).alone():
        pass


def test_records_are_what_was_logged(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.records() == []
    first = [{"phase": "a", "step": 1, "accuracy": 0.1 + 0.2}, {"phase": "a", "name": "L∞\u2028"}]
    run.log(first)
    size, digest = run.log_state()
    run.log([])
    assert run.records() == first
    run.log([{"phase": "b", "step": 2}])
    assert run.records() == [*first, {"phase": "b", "step": 2}]
    run.truncate_log(size, digest)
    assert RunFolder(tmp_path).records() == first


def test_a_log_of_another_run_is_refused_and_stays_whole(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.log([{"phase": "a", "step": 1}])
    size, digest = run.log_state()
    run.truncate_log()
    other = [{"phase": "b", "step": 1}, {"phase": "b", "step": 2}]
    run.log(other)
    with pytest.raises(InputError, match="has changed since its checkpoint"):
        run.truncate_log(size, digest)
    with pytest.raises(InputError, match="cut off"):
        run.truncate_log(10 * size, digest)
    assert run.records() == other


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"experiment": 3}', "nonsense"])
def test_damaged_config_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="not a run folder"):
        _ = RunFolder(tmp_path).config
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config\.json is damaged"):
        _ = RunFolder(tmp_path).config


def test_result_has_the_fixed_fields(tmp_path: Path) -> None:
    found = result("e", "p", {"seed": 1, "quick": False}, {"name": "d"}, torch.device("cpu"))
    assert list(found) == [
        "experiment",
        "paper",
        "config",
        "data",
        "seed",
        "metrics",
        "claims",
        "wall_s",
        "device",
        "versions",
        "quick",
        "complete",
    ]
    assert found["claims"] == [] and found["complete"] is False
    RunFolder(tmp_path).write_result(found)
    assert json.loads((tmp_path / "result.json").read_text()) == found


def test_generators_of_different_paths_differ() -> None:
    draws = {
        path: float(torch.rand(1, generator=stream(*path)))
        for path in [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 1, 2), (0, 2, 1)]
    }
    assert len(set(draws.values())) == len(draws)
    assert float(torch.rand(1, generator=stream(0, 1))) == draws[(0, 1)]


def test_fast_matmul_keeps_float32_accuracy_and_the_setting() -> None:
    before = torch.get_float32_matmul_precision()
    a = torch.randn(300, 400, generator=torch.Generator().manual_seed(0))
    with fast_matmul():
        product = a @ a.T
    assert torch.get_float32_matmul_precision() == before
    exact = a.double() @ a.double().T
    assert float((product.double() - exact).abs().max()) < 1e-5 * float((a.abs() @ a.abs().T).max())


def test_devices() -> None:
    assert select_device("auto").type in ("cpu", "cuda")
    for name in ("gpu", "cuda:99", ""):
        with pytest.raises(InputError, match="device is"):
            select_device(name)


def test_peak_memory_counts_a_large_block() -> None:
    keep_freed_memory()
    block = torch.ones(600_000_000, dtype=torch.uint8)
    assert 0.6 < peak_memory_gb() < 100
    del block

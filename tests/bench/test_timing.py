import contextlib
import gc
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from plastorch.bench.timing import (
    WARM_UP,
    check_out,
    interleaved,
    line,
    one_quiet_thread,
    program_mb,
    row,
    write_rows,
)
from plastorch.engine.errors import InputError


def test_sides_take_turns_and_only_ours_is_inside_the_context() -> None:
    calls: list[str] = []

    @contextlib.contextmanager
    def context() -> Iterator[None]:
        calls.append("in")
        yield
        calls.append("out")

    interleaved(lambda: calls.append("ours"), lambda: calls.append("peer"), 3, context)
    assert calls == ["in", "ours", "out", "peer"] * (WARM_UP + 3)


def test_medians_leave_the_warm_up_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    durations = {"ours": iter([90, 90, 1, 9, 2]), "peer": iter([90, 90, 5, 4, 100])}

    def spend(side: str) -> None:
        clock[0] += next(durations[side])

    monkeypatch.setattr("time.process_time", lambda: clock[0])
    assert interleaved(lambda: spend("ours"), lambda: spend("peer"), 3) == (2, 5)


def test_one_quiet_thread_puts_everything_back() -> None:
    threads, collecting = torch.get_num_threads(), gc.isenabled()
    with pytest.raises(ZeroDivisionError), one_quiet_thread():
        assert torch.get_num_threads() == 1 and not gc.isenabled()
        raise ZeroDivisionError
    assert torch.get_num_threads() == threads and gc.isenabled() == collecting


def test_row_and_file(tmp_path: Path) -> None:
    figures = row("step", 0.5, "other", 1.0, equal=True)
    assert list(figures) == ["name", "ours_s", "peer", "peer_s", "ratio", "peak_mb", "equal"]
    assert figures["ratio"] == 2.0 and figures["peak_mb"] > 10
    assert "2.00" in line(figures) and "NOT EQUAL" not in line(figures)
    assert "NOT EQUAL" in line(row("step", 0.5, "other", 1.0, equal=False))
    out = tmp_path / "made" / "bench.json"
    check_out(out)
    assert not out.parent.exists()
    write_rows(out, "softhebb", {"name": "toy"}, [figures])
    contents = json.loads(out.read_text())
    assert list(contents) == ["group", "machine", "versions", "date", "data", "rows"]
    assert contents["rows"] == [figures] and contents["data"] == {"name": "toy"}
    assert contents["machine"].keys() == {"cpu", "cores", "threads"}
    assert contents["versions"]["torch"] == torch.__version__


def test_a_check_leaves_an_older_file_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    out.write_text("older")
    check_out(out)
    assert out.read_text() == "older" and list(tmp_path.iterdir()) == [out]


def test_unwritable_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "bench.json", tmp_path):
        with pytest.raises(InputError, match="out is"):
            check_out(out)


def test_memory_of_a_program_that_runs_by_itself() -> None:
    size = 300_000_000
    idle = program_mb("", doing="nothing")
    holding = program_mb("import sys\nheld = b'1' * int(sys.argv[1])\n", str(size), doing="holding")
    assert size / 1e6 * 0.95 < holding - idle < size / 1e6 * 1.1


def test_a_program_that_fails_is_an_error() -> None:
    with pytest.raises(InputError, match=r"reading a file failed: (?s:.*)ZeroDivisionError"):
        program_mb("1 / 0", doing="reading a file")


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="the processor can't")
def test_a_quiet_thread_in_a_run_leaves_denormal_numbers_flushed() -> None:
    tiny = torch.tensor([2e-38])
    torch.set_flush_denormal(True)
    try:
        with one_quiet_thread():
            assert float(tiny * 0.5) == 0
        assert float(tiny * 0.5) == 0
    finally:
        torch.set_flush_denormal(False)
    with one_quiet_thread():
        assert float(tiny * 0.5) == 0
    assert float(tiny * 0.5) > 0

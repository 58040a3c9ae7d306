"""Hints at where something changed: bounded, and looked at again where events may be missing."""

import os
import time
from pathlib import Path

import pytest

from plastorch.files import changes as module
from plastorch.files.changes import BURST, LIMIT, SETTLE_S, Changes

ADDED, MODIFIED, DELETED = 1, 2, 3


class Clock:
    """Time that passes when told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def take_until(changes: Changes, place: str) -> None:
    """Waits until a place is to be looked at; long enough for a busy machine."""
    end = time.monotonic() + 20
    while place not in changes.take(0.01):
        assert time.monotonic() < end


def test_each_place_is_told_once_and_a_new_folder_twice(tmp_path: Path, clock: Clock) -> None:
    changes = Changes(str(tmp_path))
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.symlink(tmp_path, tmp_path / "link")
    folder, file, link, gone = (f"{tmp_path}/{n}" for n in ("folder", "file", "link", "gone"))
    changes.hear({(ADDED, folder), (ADDED, file), (MODIFIED, file), (ADDED, link), (DELETED, gone)})
    changes.hear({(MODIFIED, file)})
    assert changes.take(0) == {folder, file, link, gone}
    clock.now += SETTLE_S / 2
    assert changes.take(0) == set()
    clock.now += SETTLE_S
    assert changes.take(0) == {folder}
    assert changes.take(0) == set()


def test_after_many_changes_the_whole_tree_is_looked_at(tmp_path: Path, clock: Clock) -> None:
    changes = Changes(str(tmp_path))
    places = {f"{tmp_path}/{number}" for number in range(BURST)}
    for _ in range(3):
        clock.now += SETTLE_S / 2
        changes.hear({(ADDED, place) for place in places})
        assert changes.take(0) == places
    clock.now += SETTLE_S
    changes.hear({(ADDED, f"{tmp_path}/more")})
    assert changes.take(0) == {str(tmp_path)}
    assert changes.take(0) == set()


def test_the_queue_does_not_grow(tmp_path: Path) -> None:
    changes = Changes(str(tmp_path))
    for first in range(0, 3 * LIMIT, BURST // 2):
        numbers = range(first, first + BURST // 2)
        changes.hear({(MODIFIED, f"{tmp_path}/{number}") for number in numbers})
        assert len(changes._places) <= LIMIT
    assert changes.take(0) == {str(tmp_path)}
    for number in range(LIMIT + 1):
        changes._doubts[f"{tmp_path}/{number}"] = 0.0
    changes.hear({(MODIFIED, f"{tmp_path}/file")})
    assert set(changes._doubts) == {str(tmp_path)}


def test_real_changes(tmp_path: Path) -> None:
    with Changes(str(tmp_path)) as changes:
        assert changes.notice == ""
        (tmp_path / "file").touch()
        take_until(changes, f"{tmp_path}/file")


def test_a_name_that_is_no_text_makes_it_start_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLE_S", 0.05)
    with Changes(str(tmp_path)) as changes:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).touch()
        take_until(changes, str(tmp_path))
        (tmp_path / "file").touch()
        take_until(changes, f"{tmp_path}/file")


@pytest.mark.parametrize("error", [OSError("limit reached (28)"), PermissionError("not allowed")])
def test_what_cannot_be_watched_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    real = module._watcher

    def refuse(root: str, careless: bool) -> object:
        if careless:
            return real(root, careless)
        raise error

    monkeypatch.setattr(module, "_watcher", refuse)
    with Changes(str(tmp_path)) as changes:
        assert changes.notice == f"not all folders are watched: {str(error).removesuffix(' (28)')}"
        (tmp_path / "file").touch()
        take_until(changes, f"{tmp_path}/file")


def test_without_any_events(tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    os.mkdir(odd)
    with Changes(odd) as changes:
        assert "not all folders are watched" in changes.notice
        assert changes.take(0.1) == set()

"""Watchers that are stopped and killed at any moment: each file has one label, its last.

As a script, this forks watchers: it takes lines of JSON, [ROOT, STORE], and answers with the number
of a process that watches until it is stopped. So the imports, which take seconds, happen once.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from plastorch.engine.errors import InputError
from plastorch.files.names import escape
from plastorch.files.single_rows import records
from plastorch.files.store import LabelStore
from plastorch.files.watch import Counts, watch


class Sizes:
    """Labels that tell in which state a file was labeled."""

    def describe(self, frame: pl.DataFrame) -> pl.DataFrame:
        label = pl.format("{} {}", "size", "mode")
        return frame.select(label=label, confidence=pl.lit(0.5), keys=pl.lit("size, mode"))


def serve() -> None:
    """Forks watchers."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system clears away who has ended
    print("ready", flush=True)
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            root, path = json.loads(line)
            try:
                with LabelStore(path) as store:
                    note = f"stopped: {watch(Sizes(), root, store, model='sizes', read=records)}"
            except InputError as error:
                note = f"error: {error}"
            Path(path + ".note").write_text(note)
            os._exit(0)
        print(process, flush=True)


class Watched:
    """A folder, a store, and the process that watches."""

    def __init__(self, folder: Path, server: "subprocess.Popen[str]") -> None:
        self.root, self.path, self.server = folder / "tree", str(folder / "labels"), server
        self.root.mkdir()
        self.process = 0

    def start(self) -> None:
        assert self.server.stdin and self.server.stdout
        self.server.stdin.write(json.dumps([str(self.root), self.path]) + "\n")
        self.server.stdin.flush()
        self.process = int(self.server.stdout.readline())

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Sends a signal and waits until the process has ended."""
        with suppress(ProcessLookupError):
            os.kill(self.process, number)
            while True:
                os.kill(self.process, 0)
                time.sleep(0.005)

    def note(self) -> str:
        """How the process said that it ended."""
        note = Path(self.path + ".note")
        return note.read_text() if note.exists() else "it hasn't ended"

    def labels(self) -> list[tuple[str, str]]:
        with suppress(InputError), LabelStore(self.path, create=False) as store:
            return [(row.path, row.label) for page in store.rows() for row in page]
        return []

    def truth(self) -> list[tuple[str, str]]:
        """What the labels should be."""
        paths = (os.path.join(folder, f) for folder, _, files in os.walk(self.root) for f in files)
        states = {path: os.lstat(path) for path in paths}
        return sorted(
            (escape(path), f"{state.st_size} {state.st_mode & 0o7777:04o}")
            for path, state in states.items()
        )

    def wait(self, holds: Callable[[], bool] | None = None, seconds: float = 60.0) -> None:
        """Waits for something, or until the labels are right; long enough for a busy machine."""
        holds = holds or (lambda: self.labels() == self.truth())
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, self.note()
            time.sleep(0.05)


@pytest.fixture(scope="module")
def server() -> Iterator["subprocess.Popen[str]"]:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, __file__], stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdout and server.stdout.readline() == "ready\n"
        yield server
        server.kill()


@pytest.fixture
def watched(tmp_path: Path, server: "subprocess.Popen[str]") -> Iterator[Watched]:
    watched = Watched(tmp_path, server)
    yield watched
    if watched.process:
        watched.kill()


def burst(root: Path, seed: int, files: int) -> None:
    """Makes, changes, moves and removes files and folders, quickly."""
    chance = random.Random(seed)
    paths: list[Path] = []
    for number in range(files):
        folder = root / f"burst-{seed}" / str(number // 100) / str(chance.randrange(3))
        folder.mkdir(parents=True, exist_ok=True)
        paths.append(folder / str(number))
        paths[-1].write_bytes(bytes(chance.randrange(50)))
        other = chance.choice(paths)
        what = chance.random()
        with suppress(OSError):  # it may be gone or moved
            if what < 0.1:
                other.write_bytes(bytes(chance.randrange(50)))
            elif what < 0.2:
                other.unlink()
            elif what < 0.3:
                other.rename(root / f"moved-{seed}-{number}")
            elif what < 0.33:
                other.chmod(0o600)
            elif what < 0.34:
                other.parent.rename(root / f"moved-folder-{seed}-{number}")
            elif what < 0.345:
                shutil.rmtree(other.parent)


@pytest.mark.parametrize("seed", range(2))
def test_every_file_has_one_final_label_however_often_the_watcher_is_killed(
    watched: Watched, seed: int
) -> None:
    chance = random.Random(seed)
    burst(watched.root, 100, 500)
    writer = threading.Thread(target=burst, args=(watched.root, seed, 2000))
    writer.start()
    for _ in range(4):
        watched.start()
        time.sleep(chance.uniform(0.02, 0.3))
        watched.kill()
        with closing(sqlite3.connect(watched.path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    writer.join()
    burst(watched.root, 200, 300)  # while nobody watches
    watched.start()
    watched.wait()
    burst(watched.root, 300, 300)
    watched.wait()
    watched.kill()
    assert watched.labels() == watched.truth()
    assert len(watched.labels()) > 1000


def test_changes_are_seen_as_they_come(watched: Watched) -> None:
    (watched.root / "folder").mkdir()
    watched.start()
    for step in (
        lambda: (watched.root / "folder/new").write_text("x"),
        lambda: (watched.root / "folder/new").write_text("longer"),
        lambda: (watched.root / "folder/new").chmod(0o600),
        lambda: (watched.root / "folder/new").rename(watched.root / "renamed"),
        lambda: (watched.root / "folder").rename(watched.root / "folder 2"),
        lambda: (watched.root / "folder 2/second").write_text("xx"),
        lambda: (watched.root / "folder 2").rename(watched.root.parent / "away"),
        lambda: (watched.root.parent / "away").rename(watched.root / "back"),
        lambda: (watched.root / "renamed").unlink(),
    ):
        step()
        watched.wait()
    assert len(watched.labels()) == 1


def test_a_growing_file_ends_with_its_last_label(watched: Watched) -> None:
    watched.start()
    with open(watched.root / "log", "wb", buffering=0) as file:
        for _ in range(60):
            file.write(bytes(1000))
            time.sleep(0.01)
    watched.wait()
    assert watched.labels()[0][1].startswith("60000 ")


def test_files_in_folders_that_are_new_themselves(watched: Watched) -> None:
    """The library tells of such a folder, but not of what it held before it was watched."""
    watched.start()
    watched.wait(lambda: Path(watched.path).exists())
    for number in range(60):
        folder = watched.root / str(number) / "deep" / "deeper"
        folder.mkdir(parents=True)
        for name in "abc":
            (folder / name).write_text(name * number)
    watched.wait()


def test_events_that_the_system_dropped(watched: Watched) -> None:
    """A process that is held up for a while finds the system's queue full."""
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if queue > 16384:
        pytest.skip(f"the system queues {queue} events; a test would take too many files")
    (watched.root / "file").touch()
    watched.start()
    watched.wait()
    os.kill(watched.process, signal.SIGSTOP)
    for number in range(queue // 4 + 500):  # making a file and writing to it are four events
        (watched.root / str(number)).write_bytes(b"x")
    os.kill(watched.process, signal.SIGCONT)
    watched.wait()


def test_names_that_are_no_text(watched: Watched) -> None:
    """The library fails at them, and has to be started again."""
    watched.start()
    watched.wait(lambda: Path(watched.path).exists())
    root = os.fsencode(watched.root)
    os.mkdir(root + b"/\xff")
    for name in (b"/\xff/\xfe", b"/plain", b"/caf\xe9"):
        with open(root + name, "wb"):
            pass
    watched.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_it_cleanly(watched: Watched, number: int) -> None:
    for name in range(100):
        (watched.root / str(name)).touch()
    watched.start()
    watched.wait()
    watched.kill(number)
    assert watched.note().startswith("stopped: ")
    assert watched.labels() == watched.truth()
    assert not Path(watched.path + "-wal").exists()


def test_one_watcher_at_a_time(watched: Watched) -> None:
    (watched.root / "file").touch()
    watched.start()
    watched.wait()
    with LabelStore(watched.path) as store, pytest.raises(InputError, match="in use"):
        watch(Sizes(), watched.root, store, model="sizes", stop=threading.Event())
    watched.kill()
    assert run(watched, walks=1).walks == 1


def test_a_root_that_goes_away_ends_it_and_keeps_the_labels(watched: Watched) -> None:
    (watched.root / "file").touch()
    watched.start()
    watched.wait()
    before = watched.labels()
    watched.root.rename(watched.root.parent / "elsewhere")
    watched.wait(lambda: Path(watched.path + ".note").exists())
    watched.kill()
    assert "removed or replaced" in watched.note() and watched.labels() == before


def run(watched: Watched, walks: int, **how: Any) -> Counts:
    """Watches in this process until the tree was walked through."""
    stop = threading.Event()

    def tell(counts: Counts) -> None:
        if counts.walks == 1:
            (watched.root / "late").touch()
        if counts.walks >= walks:
            stop.set()

    with LabelStore(watched.path) as store:
        return watch(Sizes(), watched.root, store, model="sizes", stop=stop, tell=tell, **how)


def test_what_no_event_tells_of_is_found_by_walks(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(root: str, careless: bool) -> None:
        raise OSError("watch limit reached")

    monkeypatch.setattr("plastorch.files.changes._watcher", refuse)
    counts = run(watched, walks=3, rescan_s=0.1)
    assert watched.labels() == watched.truth() and len(watched.labels()) == 1
    assert str(counts).endswith("(not all folders are watched: watch limit reached)")


def test_bad_input(watched: Watched, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rescan_s is 0"):
        run(watched, walks=1, rescan_s=0)
    for root in (tmp_path / "missing", tmp_path / "labels"):
        watched.root = root
        with pytest.raises(InputError, match="root is"):
            run(watched, walks=1)


if __name__ == "__main__":
    serve()

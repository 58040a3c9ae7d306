"""Hostile input: the same attacks on every loader, so these tests mirror no module of ``src``."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from plastorch.engine.errors import InputError

settings.register_profile("hostile", deadline=None, max_examples=40, derandomize=True)
collect_ignore = ["kernel_fuzz.py", "kernels"]  # no tests: test_kernels.py runs them
HUGE = (b"\xff" * 4, b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff", b"\xff" * 8, b"\0" * 4, b"\xff" * 64)


@pytest.fixture(autouse=True, scope="session")
def profile() -> Iterator[None]:
    settings.load_profile("hostile")
    yield
    settings.load_profile("plastorch")


@pytest.fixture(scope="session")
def damaged() -> Callable[[st.DataObject, bytes], bytes]:
    """Draws one or two changes of a genuine file: bits, cuts, insertions, huge length fields."""

    def change(data: st.DataObject, content: bytes) -> bytes:
        for _ in range(data.draw(st.integers(1, 2), "changes")):
            # Most formats keep their counts and names in the first bytes or the last.
            near = st.integers(0, min(200, len(content)))
            far = st.integers(0, len(content))
            at = data.draw(st.one_of(near, near.map(lambda n, c=content: len(c) - n), far), "place")
            kind = data.draw(st.sampled_from(["flip", "cut", "insert", "repeat", "drop", "huge"]))
            if kind == "flip":
                bit = 1 << data.draw(st.integers(0, 7))
                content = (
                    content[:at] + bytes(b ^ bit for b in content[at : at + 1]) + content[at + 1 :]
                )
            elif kind == "cut":
                content = content[:at]
            elif kind == "insert":
                content = content[:at] + data.draw(st.binary(max_size=9)) + content[at:]
            elif kind == "repeat":
                content = content[:at] + content[max(0, at - 40) :]
            elif kind == "drop":
                content = content[:at] + content[at + data.draw(st.integers(1, 40)) :]
            else:
                huge = data.draw(st.sampled_from(HUGE))
                content = content[:at] + huge + content[at + len(huge) :]
        return content

    return change


@pytest.fixture(scope="session")
def bounded() -> Callable[..., contextlib.AbstractContextManager[None]]:
    """A block that must end within seconds and take no more than some megabytes."""

    @contextlib.contextmanager
    def block(megabytes: int = 400, seconds: int = 20) -> Iterator[None]:
        def hang(number: int, frame: object) -> None:
            raise AssertionError(f"no end within {seconds} s")

        before = signal.signal(signal.SIGALRM, hang)
        signal.alarm(seconds)
        start = _resident_mb(reset=True)
        try:
            yield
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
        grown = _resident_mb() - start
        assert grown < megabytes, f"took {grown:.0f} MB; expected {megabytes} at most"

    return block


@pytest.fixture(scope="session")
def survives(bounded: Any) -> Callable[..., Any]:
    """Calls a loader: what it gives, or None if it refused the input in one clear line."""

    def call(loader: Callable[..., Any], *arguments: object, megabytes: int = 400) -> Any:
        with bounded(megabytes):
            try:
                return loader(*arguments)
            except InputError as error:
                assert str(error).strip() and len(str(error)) < 20_000
                return None

    return call


@pytest.fixture
def refused(survives: Any) -> Callable[..., None]:
    """Calls a loader that must refuse its input."""

    def call(loader: Callable[..., Any], *arguments: object, megabytes: int = 400) -> None:
        with pytest.raises(InputError):
            with_limits(loader, *arguments, megabytes=megabytes)

    def with_limits(loader: Callable[..., Any], *arguments: object, megabytes: int) -> None:
        found = survives(loader, *arguments, megabytes=megabytes)
        if found is None:
            raise InputError("refused")

    return call


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A pipe that nobody writes to: who opens it waits for ever."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def _resident_mb(reset: bool = False) -> float:
    """The largest resident size since the last reset."""
    if reset:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    name = "VmRSS:" if reset else "VmHWM:"
    return next(int(line.split()[1]) for line in status.splitlines() if name in line) / 1024

"""The process: stopped at any moment, it ends with status 130 and one line."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

STOPPED = "plastorch: stopped\n"
DELAYS = (0, 0.01, 0.1, 0.3, 0.7, 1.2, 2, 4)
"""Seconds after the first line of ours."""


def wait_for_our_first_line(process: subprocess.Popen) -> None:
    """After it, SIGTERM is handled; Python itself leaves it to the system."""
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        caught = next(line for line in status.read_text().splitlines() if "SigCgt" in line)
        if int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.0005)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_at_any_moment_is_no_traceback(tmp_path: Path, number: signal.Signals) -> None:
    for delay in DELAYS:
        process = subprocess.Popen(
            [sys.executable, "-m", "plastorch", "run", "stpn-art", "--quick", "--out", tmp_path],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for_our_first_line(process)
        time.sleep(delay)
        process.send_signal(number)
        _, err = process.communicate()
        assert process.returncode == 130, (delay, err)
        assert err.splitlines()[-1].startswith("plastorch: stopped"), (delay, err)
        assert err.count("stopped") == 1 and "Traceback" not in err, (delay, err)


# What happens to a process whose command is the middle part.
PROCESS = """
import atexit, os, signal, sys, time, types
import plastorch.cli
from plastorch.cli import COMMANDS, main
def stop(number=signal.SIGINT):
    signal.raise_signal(number)
class Broken:
    def __init__(self, act):
        self.act = act
    def __del__(self):
        self.act()
def command(arguments):
    {command}
    return 0
COMMANDS["list"] = command
sys.argv[1:] = ["list"]
from plastorch.__main__ import main
sys.exit(main())
"""
CASES = {
    "in a command": ("stop()", 130, STOPPED),
    "SIGTERM": ("stop(signal.SIGTERM)", 130, STOPPED),
    "while a module is imported that lets no exception out": ("import greedy", 130, STOPPED),
    "while a run imports a module": (
        "from plastorch.engine.stops import resumable\n"
        "    with resumable('go on with: x'): import greedy",
        130,
        "plastorch: stopped; go on with: x\n",
    ),
    "again, while what was in hand is put away": (
        "try: stop()\n    finally: stop(); print('has waited', file=sys.stderr)",
        130,
        STOPPED,
    ),
    "again, as what is left is freed": ("kept = Broken(stop); stop()", 130, STOPPED),
    "as Python ends": ("atexit.register(stop)", 0, ""),
    "as Python ends, after all else": ("sys.modules['last'] = Broken(stop); sys.exit()", 0, ""),
    "where Python would crash as it ends": (
        "sys.modules['last'] = Broken(os.abort); stop()",
        130,
        STOPPED,
    ),
    "in a worker that is not the first": ("os.environ['RANK'] = '1'; import greedy", 130, ""),
}


@pytest.mark.parametrize("case", CASES)
def test_a_stop(case: str, tmp_path: Path) -> None:
    command, status, said = CASES[case]
    (tmp_path / "greedy.py").write_text(
        "import __main__, time\ntry: __main__.stop()\nexcept BaseException: time.sleep(60)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", PROCESS.format(command=command)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr, done.stdout) == (status, said, "")

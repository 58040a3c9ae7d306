"""Whatever is typed: a status of 0, 1 or 2, and at most one short line that says what is wrong."""

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plastorch import bench
from plastorch.cli import COMMANDS, main, sweep_show
from plastorch.cli.completion import _words
from plastorch.engine import cluster
from plastorch.experiments import ray_trials
from plastorch.experiments import run as running
from plastorch.experiments.registry import experiments

VALUES = [
    *("", " ", "-1", "0", "1", "2", "nan", "inf", "-inf", "1e309", "9" * 40, "9" * 5000, "-" * 9),
    *("<script>", "a" * 100_000, "\x1b[2J", "\0", "\n\n", "│╭─╮", "[/red]", "%s{}$(touch x)"),
    *("../../x", "/dev/null", "/dev/zero", "/proc/self/mem", "~", "--", "-h", "None", "True"),
    *(os.fsdecode(b"\xff\xfe"), "e\u0301\u202e", "0x10", "1_000", "٣", "[]", "{}", "1,2", "1 2"),
]


@pytest.fixture(scope="module", autouse=True)
def nothing_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Arguments are what is tested: experiments and measurements are left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "run_or_resume", lambda folder, tell, **options: {})
        of_run = import_module("plastorch.cli.run")  # the package has a function of that name
        patch.setattr(of_run, "_report", lambda folder, result, strict: 0)
        patch.setattr(bench, "run_group", lambda group, out, tell, warn: None)
        patch.setattr(cluster, "cluster", lambda address: contextlib.nullcontext())
        patch.setattr(ray_trials, "most_cpus", lambda: 1)
        patch.setattr(sweep_show, "run_and_show", lambda sweep, address, as_json: 0)
        patch.chdir(tmp_path_factory.mktemp("typed"))
        yield


def typed(*arguments: str) -> tuple[int, str]:
    """Exit status, and what is on stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(arguments)
        except SystemExit as stop:  # of --help
            status = int(stop.code or 0)
    return status, err.getvalue()


def check(status: int, said: str) -> None:
    assert status in (0, 1, 2)
    assert "Traceback" not in said and len(said) < 3000
    if status == 2:
        (line,) = said.splitlines()
        assert line.startswith("plastorch: ") and line.isprintable() and len(line) < 2000


def required(before: str) -> list[str]:
    """What a command can't do without, so that the value in hand is looked at."""
    given = {"files scan": ["."], "files fit": ["t.csv"], "files predict": ["m", "t.csv"]}
    given |= {"files watch": ["m", "."], "files show": ["m"]}
    return given.get(before, [])


def every_option() -> list[tuple[list[str], str]]:
    found = []
    for before, words in _words().items():
        command = before.rstrip("* ").split()
        for word in words:
            option = [*command, *required(" ".join(command)), word]
            if word.startswith("--") and option not in [known for known, _ in found]:
                found.append((option, word))
    return found


OPTIONS = [option for option, _ in every_option()]


def test_there_are_options_of_every_experiment() -> None:
    for name in experiments():
        assert ["run", name, "--seed"] in OPTIONS
    assert ["files", "fit", "t.csv", "--label"] in OPTIONS and len(OPTIONS) > 300


@settings(max_examples=80)
@given(option=st.sampled_from(OPTIONS), value=st.sampled_from(VALUES))
def test_every_option_with_every_value(bounded: Any, option: list[str], value: str) -> None:
    with bounded(200, 60):
        check(*typed(*option, value))


@settings(max_examples=30)
@given(
    words=st.lists(
        st.one_of(
            st.sampled_from([*COMMANDS, *experiments(), "scan", "fit", "status", "get", "--seed"]),
            st.sampled_from(VALUES),
            st.text(max_size=20),
        ),
        max_size=5,
    )
)
def test_any_words(bounded: Any, words: list[str]) -> None:
    if words[:2] != ["data", "get"] and "watch" not in words:
        with bounded(200, 60):
            check(*typed(*words))


@settings(max_examples=60)
@given(
    before=st.sampled_from(
        [
            *(["run"], ["data"], ["data", "get"], ["report"], ["bench"], ["completion"], ["files"]),
            *(["files", "scan", "--out", "o"], ["files", "show", "--out", "o"], []),
            ["files", "fit", "--label", "l", "--out", "o"],
        ]
    ),
    value=st.sampled_from(VALUES),
)
def test_every_name_and_path(bounded: Any, before: list[str], value: str) -> None:
    with bounded(200, 60):
        check(*typed(*before, value))


NEAREST = [
    ("rnu", "run"),
    ("run stpn-mazee", "stpn-maze"),
    ("run stpn-maze --modles stpn", "--models"),
    ("run stpn-maze --models stpnn", "stpn"),
    ("run stpn-maze --models stpn lstmm", "lstm"),
    ("run stpn-maze --variant corected", "corrected"),
    ("run stec-cifar10 --methods simclrr", "simclr"),
    ("run stec-cifar10 --shuffled biol", "byol"),
    ("run stec-audio --datasets fsd", "fsdd"),
    ("run files-tables --tables adlt", "adult"),
    ("run rank-toy --models signal-rnk", "signal-rank"),
    ("run ststdp-digits --transforms oclusion", "occlusion"),
    ("run softhebb-mnist --sed 3", "--seed"),
    ("run softhebb-mnist --hiden 3 --sed 4", "--seed"),
    ("files ft", "fit"),
    ("files fit t.csv --lable label --out m", "--label"),
    ("files fit t.csv --label lable --out m", "label"),
    ("files fit t.csv --label label --ignore ownr --out m", "owner"),
    ("files predict m t.csv --ot x", "--out"),
    ("bench stpm", "stpn"),
    ("data get mnst", "mnist"),
    ("data stauts", "status"),
    ("data status --dta .", "--data"),
    ("completion fsh", "fish"),
]


@pytest.mark.parametrize(("line", "meant"), NEAREST, ids=lambda text: text[:40])
def test_the_nearest_name_is_suggested(line: str, meant: str) -> None:
    rows = "".join(f"{'ab'[i % 2]},{i},x\n" for i in range(20))
    Path("t.csv").write_text(f"label,size,owner\n{rows}")
    status, said = typed(*line.split())
    check(status, said)
    assert status == 2 and f"did you mean {meant}?" in said


@pytest.mark.parametrize(
    "out", ["runs[/x]", "\x1b[2J", os.fsdecode(b"runs\xff"), "<script>", "a" * 300]
)
def test_run_folders_of_any_name(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    status = main(["run", "rank-toy", "--out", out])
    assert status == (2 if len(out) == 300 else 0)
    assert "Traceback" not in capsys.readouterr().err


def test_names_that_are_no_unicode_can_be_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / os.fsdecode(b"data\xff")
    folder.mkdir()
    assert main(["list", "--data", str(folder)]) == 0
    assert "data\\udcff" in capsys.readouterr().out


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 EB"), "out of memory"),
        (PermissionError(13, "Permission denied", "/data/x"), "/data/x: Permission denied"),
        (OSError(28, "No space left on device"), "No space left"),
    ],
)
def test_what_the_machine_refuses_is_one_line(
    error: BaseException, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMMANDS, "list", raising(error))
    status, said = typed("list")
    check(status, said)
    assert status == 2 and words in said


def test_mistakes_of_the_program_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "list", raising(RuntimeError("a mistake")))
    with pytest.raises(RuntimeError, match="a mistake"):
        typed("list")

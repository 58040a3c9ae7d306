"""The command line: verbs, exit status, one clear line for every mistake."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from plastorch.cli import COMMANDS, kept_help, main
from plastorch.cli.words import one_line
from plastorch.data import cache_root
from plastorch.engine.checkpoint import load_tensors
from plastorch.engine.output import WriteError
from plastorch.experiments.registry import experiments
from plastorch.experiments.softhebb import deep

RUN = ["run", "softhebb-mnist", "--depth", "1", "--width", "quarter", "--readout-epochs", "2"]


def test_help_and_list(capsys: pytest.CaptureFixture[str], no_root: None) -> None:
    for arguments in (
        *([], ["--help"], ["help"], ["help", "help"], ["run"], ["run", "-h"], ["help", "run"]),
        *(["sweep"], ["data"], ["files"], ["list"]),
    ):
        assert main(arguments) == 0
        printed = capsys.readouterr()
        lines = printed.out.replace(str(cache_root()), "CACHE").splitlines()
        assert printed.err == "" and max(map(len, lines)) <= 80
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    for name in ("softhebb-mnist", "softhebb-imagenet", "80.3 %", "arXiv 2209.11883"):
        assert name in listed


MISTAKES = [
    (["rn"], "did you mean run?"),
    (["run", "softhebb-mnst"], "did you mean softhebb-mnist?"),
    (["run", "softhebb-mnist", "--dept", "2"], "did you mean --depth?"),
    (["run", "softhebb-mnist", "--quik"], "did you mean --quick?"),
    (["run", "softhebb-mnist", "--resume"], "--resume has no value; expected one"),
    (["run", "softhebb-mnist", "--depth", "two"], "--depth"),
    (["run", "softhebb-mnist", "--depth", "7"], "depth is 7"),
    (["run", "softhebb-mnist", "--rule", "loud"], "'loud'"),
    (["run", "softhebb-mnist", "--rule", "sotf"], "did you mean soft?"),
    (["run", "softhebb-mnist", "--width", "3x"], "'3x'"),
    (["run", "softhebb-mnist", "--batch-size", "0"], "batch_size is 0"),
    (["run", "softhebb-mnist", "--readout-learning-rate", "0"], "readout_learning_rate is 0"),
    (["run", "softhebb-mnist", "--seed", "-1"], "seed is -1"),
    (["run", "softhebb-mnist", "--device", "tpu9"], "device is 'tpu9'"),
    (["run", "softhebb-mnist", "--data", "no/such/folder"], "no/such/folder"),
    (["run", "softhebb-mnist", "--resume", "no/such/run"], "no/such/run is not a run folder"),
    (["report", "no/such/folder"], "no/such/folder"),
    (["data", "stat"], "did you mean status?"),
    (["data", "get", "cifar11"], "did you mean cifar10?"),
    (["files", "fitt"], "did you mean fit?"),
    (["bench", "sofhebb"], "did you mean softhebb?"),
    (["completion", "fsh"], "did you mean fish?"),
    (["data", "status", "--data", "no/such/folder"], "no/such/folder"),
    (["bench", "nothing"], "nothing"),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=lambda value: str(value)[:60])
def test_mistakes_are_one_clear_line_and_status_2(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    printed = capsys.readouterr()
    last = printed.err.strip().splitlines()[-1]
    assert last.startswith("plastorch: ") and words in last
    assert "Traceback" not in printed.err and printed.out == ""
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_missing_data_names_where_it_looked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", "softhebb-stl10", "--data", str(tmp_path), "--out", str(tmp_path / "runs")]
    assert main(arguments) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert str(tmp_path) in line and "stl10" in line.lower()


def test_unwritable_out_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main([*RUN, "--out", str(tmp_path / "file")]) == 2
    assert "out is" in capsys.readouterr().err


REFUSED = {
    "flat": "16 .png in no folder",
    "empty": "cat (8 .png), dog (8 .png), emu (no files)",
    "heic": "cat (8 .heic), dog (8 .heic)",
    "nothing": "found nothing",
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("named", ["--data", "$PLASTORCH_DATA"])
def test_a_named_folder_is_used_or_refused(
    kind: str,
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "mine"
    for name in ("cat", "dog") if kind != "nothing" else ():
        (folder / name).mkdir(parents=True)
        for number in range(8):
            place = folder if kind == "flat" else folder / name
            ending = "heic" if kind == "heic" else "png"
            Image.new("L", (8, 8)).save(place / f"{name}{number}.{ending}", "PNG")
    folder.mkdir(exist_ok=True)
    if kind == "empty":
        (folder / "emu").mkdir()
    elif kind == "flat":
        (folder / "cat").rmdir()
        (folder / "dog").rmdir()
    monkeypatch.setenv("PLASTORCH_DATA", str(folder))
    given = ["--data", str(folder)] if named == "--data" else []
    assert main([*RUN, "--quick", "--out", str(tmp_path / "runs"), *given]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    for words in (
        named.strip("-"),
        REFUSED[kind],
        ".webp",
        "MNIST/raw",
        "plastorch data get mnist",
    ):
        assert words in line
    assert not list((tmp_path / "runs").glob("*/*"))


def test_a_class_whose_name_is_not_utf8_is_on_the_page(
    tmp_path: Path, write_tree: Callable[..., Path]
) -> None:
    odd = os.fsdecode(b"c\xe4t")
    root = write_tree(tmp_path / "mine", ((8, 8),) * 6, classes=(odd, "dog"))
    assert main([*RUN, "--quick", "--data", str(root), "--out", str(tmp_path / "runs")]) == 0
    (result,) = (tmp_path / "runs").glob("*/*/result.json")
    assert json.loads(result.read_text())["data"]["classes"] == ["c\\xe4t", "dog"]
    assert result.with_name("report.html").is_file()


def test_list_and_status_agree(
    mnist_root: Path, own_cache: Path, no_root: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (mnist_root / "cifar-10-batches-py").mkdir()
    (mnist_root / "cifar-10-batches-py" / "test_batch").touch()
    (mnist_root / "none").mkdir()
    for given, states in (
        ([], {"mnist": "6,000 of it at hand", "cifar10": "not at hand"}),
        (["--data", str(mnist_root)], {"mnist": "at hand", "cifar10": "incomplete"}),
        (["--data", str(mnist_root / "none")], {"mnist": "not at hand", "fsdd": "not at hand"}),
    ):
        assert main(["list", *given]) == main(["data", "status", *given]) == 0
        listed, status = capsys.readouterr().out.split("data root: ")
        for name, state in states.items():
            assert f"\n{name}: {state}, " in status
            if name != "fsdd":
                assert f"  {name}, {state}\n" in listed


def test_bench_without_data_says_what_to_do_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PLASTORCH_DATA", raising=False)
    assert main(["bench", "files"]) == 2
    line = capsys.readouterr().err
    assert "$PLASTORCH_DATA" in line and "--data" not in line
    assert not list(tmp_path.iterdir())


def test_data_status_says_where_and_what(
    mnist_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "status", "--data", str(mnist_root)]) == 0
    printed = capsys.readouterr().out
    assert "mnist: at hand" in printed and "cifar10: not at hand" in printed
    assert str(mnist_root) in printed


def test_models_are_listed_and_their_cards_printed(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "tiny  CIFAR-10, 81.26% right, 0.0 MB, seed 2",
        "    plastorch run softhebb-cifar10 --seed 2",
    ]
    assert main(["models", "tiny"]) == 0
    assert capsys.readouterr().out == (tiny_model / "tiny.json").read_text() + "\n"
    assert main(["completion", "bash"]) == 0
    assert '"models") words="tiny"' in capsys.readouterr().out
    assert main(["models", "tinny"]) == 2
    assert "did you mean tiny?" in capsys.readouterr().err
    for file in tiny_model.iterdir():
        file.unlink()
    assert main(["models"]) == 0
    assert "has no trained network" in capsys.readouterr().out


@pytest.fixture
def few_digits(no_root: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's digits, of which there are fewer, so that a run is short."""
    load = deep.load
    monkeypatch.setattr(deep, "load", lambda *arguments: load(*arguments).few(500, 100, 0))


def test_strict_fails_when_an_asserted_claim_does(
    tmp_path: Path, few_digits: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The package's digits with two readout epochs of a small net miss the 95 % claim. Runs that
    end well without ``--strict`` in spite of a claim are in ``test_registry.py``."""
    assert main([*RUN, "--out", str(tmp_path), "--strict"]) == 1
    printed = capsys.readouterr().out
    assert "✗" in printed and "≥ 0.95 " in printed
    assert max(map(len, printed.splitlines()[1:-1])) <= 80
    assert "0 of 1 asserted claims hold; see the report" in printed


def test_json_is_the_result_and_nothing_else(
    tmp_path: Path, mnist_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    assert main([*RUN, "--json", "--data", str(mnist_root), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    (result,) = out.glob("*/*/result.json")
    assert json.loads(printed.out) == json.loads(result.read_text())
    assert "run folder" in printed.err


def test_what_may_be_left_out_is_shown_as_what_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["run", "softhebb-bayes", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--data PATH" in shown and "--inverse-temperature FLOAT" in shown
    assert main(["run", "softhebb-bayes", "--inverse-temperature", "warm"]) == 2
    assert "'warm'; expected a finite number" in capsys.readouterr().err


def test_quiet_runs_say_the_outcome_alone_but_never_hide_reduced_data(
    tmp_path: Path, few_digits: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*RUN, "--quick", "--quiet", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    first, second = printed.out.splitlines()
    assert first.startswith("test accuracy ") and second.startswith("report: ")
    notice = json.loads(next(tmp_path.glob("*/*/result.json")).read_text())["data"]["notice"]
    assert " ".join(printed.err.split()) == f"NOTE {' '.join(notice.split())}"
    assert main([*RUN, "--quiet", "--data", "no/such/folder"]) == 2
    assert "no/such/folder" in capsys.readouterr().err


def test_run_without_a_name_tells_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run"]) == 0
    listed = capsys.readouterr().out
    for name, experiment in experiments().items():
        (line,) = [line for line in listed.splitlines() if line.split()[:1] == [name]]
        assert experiment.expected[:30] in line


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["files", "predict"], "MODEL RECORDS"),
        (["files", "watch"], "MODEL FOLDER"),
        (["bench"], "[GROUP]"),
        (["data", "get"], "NAME"),
        (["run", "rank-toy"], "rank-toy options"),
        (["sweep", "rank-toy"], "sweep options"),
    ],
)
def test_help_names_arguments_and_groups(
    asked: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.suppress(SystemExit):
        main(["help", *asked])
    printed = capsys.readouterr().out
    assert words in printed and "options options" not in printed


def test_help_of_commands_needs_no_torch() -> None:
    code = """
import contextlib, io, sys
from plastorch.cli import COMMANDS, main
from plastorch.cli.files import VERBS
asked = [*([name] for name in COMMANDS), *(["files", verb] for verb in VERBS), ["data", "get"]]
for each in asked:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main(["help", *each])
    assert out.getvalue().startswith("usage: plastorch"), each
    assert "torch" not in sys.modules, each
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_of_an_experiment_is_kept_and_then_needs_no_torch(own_cache: Path) -> None:
    code = "import sys; from plastorch.cli import main; main(sys.argv[1:])"
    code += "; print('torch' in sys.modules)"
    ask = [sys.executable, "-c", code, "run", "rank-toy", "--help"]
    first, second = (subprocess.run(ask, capture_output=True, text=True).stdout for _ in range(2))
    assert first.endswith("True\n") and second == first.removesuffix("True\n") + "False\n"
    assert len(list((own_cache / "plastorch" / "help").iterdir())) == 1


def test_help_is_printed_though_it_cannot_be_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kept_help, "write_atomically", Mock(side_effect=WriteError("full")))
    assert main(["run", "rank-toy", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: plastorch run rank-toy")


def start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "plastorch", *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PLASTORCH_DATA": ""},
    )


def wait_for_lines(runs: Path, count: int) -> Path:
    for _ in range(3000):
        logs = list(runs.glob("*/*/metrics.jsonl"))
        if logs and logs[0].read_bytes().count(b"\n") >= count:
            return logs[0].parent
        time.sleep(0.02)
    raise AssertionError("no log appeared")


@pytest.fixture(scope="module")
def digits(
    tmp_path_factory: pytest.TempPathFactory, write_idx: Callable[[Path, np.ndarray], None]
) -> Path:
    """A data root with 1,000 + 100 images of noise, from which a run is short."""
    root, random = tmp_path_factory.mktemp("digits"), np.random.default_rng(0)
    for part, count in (("train", 1000), ("t10k", 100)):
        raw = root / "MNIST" / "raw"
        write_idx(raw / f"{part}-images-idx3-ubyte", random.integers(0, 256, (count, 28, 28)))
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(count) % 10)
    return root


@pytest.fixture(scope="module")
def unstopped(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """The folder of a run that nothing stopped."""
    runs = tmp_path_factory.mktemp("whole")
    assert main([*RUN, "--data", str(digits), "--out", str(runs)]) == 0
    return next(runs.glob("*/*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill -9"])
def test_stopped_runs_resume_to_the_same_weights(
    tmp_path: Path, number: signal.Signals, digits: Path, unstopped: Path
) -> None:
    stopped = start(*RUN, "--data", str(digits), "--out", str(tmp_path / "stopped"))
    folder = wait_for_lines(tmp_path / "stopped", 2)
    stopped.send_signal(number)
    _, err = stopped.communicate()
    if number == signal.SIGINT:
        assert stopped.returncode == 130
        assert err.splitlines()[-1].endswith(f"--resume {folder}")
    assert not json.loads((folder / "result.json").read_text())["complete"]
    assert main(["run", "softhebb-mnist", "--resume", str(folder)]) == 0
    for name in ("arrays.safetensors", "metrics.jsonl"):
        assert (folder / name).read_bytes() == (unstopped / name).read_bytes()
    runs = folder, unstopped
    last = [load_tensors(next((run / "checkpoint").glob("*.safetensors"))) for run in runs]
    assert all((last[0][name] == last[1][name]).all() for name in last[1])
    results = [json.loads((run / "result.json").read_text()) for run in runs]
    assert results[0]["complete"] and results[0]["config"] == results[1]["config"]
    assert results[0]["metrics"]["test_accuracy"] == results[1]["metrics"]["test_accuracy"]


def test_resume_refuses_another_experiment_and_a_pickle(
    tmp_path: Path, mnist_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    assert main([*RUN, "--data", str(mnist_root), "--out", str(out)]) == 0
    folder = next(out.glob("*/*"))
    assert main(["run", "softhebb-cifar10", "--resume", str(folder)]) == 2
    assert "a run of softhebb-mnist" in capsys.readouterr().err
    assert main(["run", "softhebb-mnist", "--resume", str(folder), "--device=cuda:x"]) == 2
    assert "device is 'cuda:x'" in capsys.readouterr().err
    tensors = next((folder / "checkpoint").glob("*.safetensors"))
    tensors.write_bytes(b"\x80\x04cos\nsystem\n(S'touch owned'\ntR.")
    result = folder / "result.json"
    whole = result.read_bytes()
    assert main(["run", "softhebb-mnist", "--resume", str(folder)]) == 0  # nothing is left to do
    assert result.read_bytes() == whole
    result.write_text(json.dumps(json.loads(whole) | {"complete": False}))
    assert main(["run", "softhebb-mnist", "--resume", str(folder)]) == 2
    assert "damaged or not a safetensors file" in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_leaves_no_half_file(tmp_path: Path, mnist_root: Path) -> None:
    """A real limit on file size that the first checkpoint exceeds."""
    code = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
from plastorch.cli import COMMANDS, main
sys.exit(main(sys.argv[1:]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *RUN, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PLASTORCH_DATA": str(mnist_root)},
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr and "can't write" in done.stderr
    assert not list(tmp_path.rglob("*.partial")) and not list(tmp_path.rglob("state-*"))


def test_python_m_plastorch_is_plastorch() -> None:
    process = start("--help")
    out, _ = process.communicate()
    assert process.returncode == 0 and out.startswith("usage: plastorch")


@pytest.mark.parametrize("group", ["softhebb", "stpn", "spiking"])
def test_every_bench_group_can_be_asked_for(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr("plastorch.bench.run_group", lambda *arguments: asked.append(arguments))
    assert main(["bench", group]) == 0
    (arguments,) = asked
    assert arguments[:3] == (group, None, print)


@pytest.mark.parametrize("experiment", experiments())
def test_the_help_of_every_experiment_fits_a_terminal(
    experiment: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["run", experiment, "--help"]) == 0
    printed = capsys.readouterr().out
    assert "--seed" in printed and max(map(len, printed.splitlines())) <= 80


COMPLETED = [
    ("plastorch ", sorted(COMMANDS)),
    ("plastorch ru", ["run"]),
    ("plastorch run softhebb-c", ["softhebb-cifar10", "softhebb-cifar100"]),
    ("plastorch run softhebb-mnist --resu", ["--resume"]),
    ("plastorch run softhebb-mnist --seed 3 --dept", ["--depth"]),
    ("plastorch sweep softhebb-mnist --seeds 0-9 --cpus", ["--cpus-per-run"]),
    ("plastorch sweep fstdp-synthetic --seeds 0-9 --own", ["--own-seeds"]),
    ("plastorch sweep fstdp-synthetic --see", ["--seeds"]),
    ("plastorch data get st", ["stl10"]),
    ("plastorch files fit table.csv --lab", ["--label"]),
    ("plastorch files fit --ca", []),
    ("plastorch bench ra", ["rank"]),
    ("plastorch models no-such", []),
    ("plastorch help fi", ["files"]),
    ("plastorch report ", []),
]
TYPED = """
COMP_WORDS=($LINE); [[ $LINE == *' ' ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _plastorch; printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(("line", "words"), COMPLETED)
def test_bash_completes(line: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out + TYPED
    done = subprocess.run(
        ["bash", "-c", script], env={**os.environ, "LINE": line}, capture_output=True, text=True
    )
    assert done.stderr == "" and sorted(done.stdout.split()) == words


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
@pytest.mark.parametrize(("line", "words"), COMPLETED)
def test_fish_completes(
    line: str, words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["completion", "fish"]) == 0
    script = capsys.readouterr().out + '\ncomplete -C "$LINE"'
    home = {"HOME": str(tmp_path), "LINE": line}
    done = subprocess.run(
        ["fish", "-c", script],
        env={**os.environ, **home},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.stderr == "" and sorted(done.stdout.split()) == words


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} -m plastorch list | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == "" and done.stdout.count("\n") == 1


def test_zsh_loads_what_bash_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "zsh"]) == main(["completion", "bash"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("complete -o default -F _plastorch plastorch") == 2
    assert "bashcompinit" in printed


def test_a_message_is_one_line_and_harmless() -> None:
    assert one_line("file \x1b[2J\n is damaged") == r"file \x1b[2J is damaged"

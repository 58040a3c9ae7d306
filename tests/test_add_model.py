"""The program that puts a finished run's network into the package."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from plastorch import SoftHebbNet
from plastorch.cli import main
from plastorch.engine.errors import InputError
from plastorch.engine.run import RunFolder
from plastorch.hebbian import pretrained

PROGRAM = Path(__file__).parent.parent / "benchmarks" / "add_model.py"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("add_model", PROGRAM)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(mnist_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run on digits in the official format, few enough for a whole run."""
    monkeypatch.setenv("PLASTORCH_DATA", str(mnist_root))
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "pretrained")
    pretrained.FOLDER.mkdir()
    of = ["--depth", "1", "--width", "quarter", "--readout-epochs", "2", "--seed", "3"]
    assert main(["run", "softhebb-mnist", *of, "--out", str(tmp_path / "runs")]) == 0
    return RunFolder(next((tmp_path / "runs").glob("*/*")))


def changed(run: RunFolder, **fields: Any) -> RunFolder:
    path = run.path / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    return run


def test_a_finished_run_becomes_a_network_of_the_package(
    run: RunFolder, program: ModuleType
) -> None:
    result = run.finished()
    assert result is not None
    card = program.add(run, "digits")
    assert pretrained.cards() == {"digits": card}
    for name in ("experiment", "paper", "seed", "command", "commit"):
        assert getattr(card, name) == result[name]
    assert card.accuracies.keys() == {
        "test_accuracy",
        "ridge_accuracy",
        "ridge_held_out_accuracy",
        "neighbors_accuracy",
    }
    assert card.accuracies.items() <= result["metrics"].items()
    assert card.stored_accuracy == pytest.approx(result["metrics"]["test_accuracy"])
    assert (card.data, card.classes) == ("MNIST", [str(digit) for digit in range(10)])
    net = SoftHebbNet.from_pretrained("digits")
    assert net.spec.blocks[0].out_channels == 24
    assert net.features(net.prepare(torch.rand(2, 1, 50, 40))).shape == (2, net.readout.in_features)
    assert pretrained.weights_of("digits").stat().st_size < 0.6 * sum(
        4 * tensor.numel() for tensor in net.state_dict().values()
    )


def test_runs_that_give_no_network(run: RunFolder, program: ModuleType) -> None:
    result = run.finished()
    assert result is not None
    data, metrics = result["data"], result["metrics"]
    refused: list[tuple[dict[str, Any], str]] = [
        ({"quick": True}, "expected one without --quick"),
        ({"complete": False}, "has no result of a whole run"),
        ({"data": data | {"notice": "Few."}}, "had not the whole data set: Few."),
        ({"data": data | {"name": "my digits"}}, "data is 'my digits'; expected one of MNIST"),
        ({"data": data | {"sha256": "0"}}, "has other images"),
        ({"experiment": "softhebb-bayes"}, "expected one of deep SoftHebb"),
        ({"config": result["config"] | {"validation": 0.1}}, "validation is 0.1; expected 0"),
        ({"config": result["config"] | {"networks": 2}}, "networks is 2; expected 1: a network"),
        ({"config": result["config"] | {"width": "half"}}, "another architecture"),
        ({"metrics": metrics | {"test_accuracy": 1.0}}, "as it is stored, .*; expected 100.00%"),
    ]
    for fields, words in refused:
        with pytest.raises(InputError, match=words):
            program.add(changed(run, **fields), "digits")
        changed(run, **result)
    with pytest.raises(InputError, match=r"name is '\.\./digits'; expected small letters"):
        program.add(run, "../digits")
    (run.path / "result.json").write_text(
        json.dumps({k: result[k] for k in result.keys() - {"commit"}})
    )
    with pytest.raises(InputError, match=r"its result lacks \['commit'\]; expected a newer run"):
        program.add(run, "digits")
    assert not list(pretrained.FOLDER.iterdir())

"""Networks inside the package: they load, their cards are true, and damage is refused."""

import importlib.resources
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch

from plastorch import SoftHebbNet
from plastorch.cli.run import _parse_run
from plastorch.engine.errors import InputError
from plastorch.experiments.registry import find, resolved
from plastorch.hebbian import pretrained
from plastorch.hebbian.prepared import handling

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
NAMES = list(pretrained.cards())


def test_a_network_and_its_card(tiny_model: Path) -> None:
    net = SoftHebbNet.from_pretrained("tiny")
    expected = SoftHebbNet.load(tiny_model / "tiny.safetensors")
    images = torch.rand(3, 3, 8, 8)
    assert torch.equal(net(images), expected(images)) and not net.training
    assert {tensor.dtype for tensor in net.parameters()} == {torch.float32}
    (card,) = pretrained.cards().values()
    assert card.text() == (tiny_model / "tiny.json").read_text()
    assert card.classes == ["dark", "bright"] and card.accuracies["ridge_accuracy"] == 0.83


def test_unknown_names(tiny_model: Path) -> None:
    for name in ("tinny", "../tiny", "", "tiny.json"):
        with pytest.raises(InputError, match=f"name is {re.escape(repr(name))}; expected tiny"):
            SoftHebbNet.from_pretrained(name)
    (tiny_model / "tiny.json").unlink()
    with pytest.raises(InputError, match=r"name is 'tiny'; expected a network in .* has none"):
        SoftHebbNet.from_pretrained("tiny")


def test_damaged_swapped_and_missing_weights(tiny_model: Path) -> None:
    path = tiny_model / "tiny.safetensors"
    right = path.read_bytes()
    other = SoftHebbNet.from_pretrained("tiny")
    torch.nn.init.zeros_(other.readout.bias)
    other.save(path, torch.float16)
    for wrong in (path.read_bytes(), right[:-1], right + b"0", b""):
        path.write_bytes(wrong)
        with pytest.raises(InputError, match=r"has SHA-256 \w{64}; expected \w{64}, as in tiny.js"):
            SoftHebbNet.from_pretrained("tiny")
    path.unlink()
    with pytest.raises(InputError, match="is missing; expected the weights of 'tiny'"):
        SoftHebbNet.from_pretrained("tiny")
    path.write_bytes(right)
    for ending in ("json", "safetensors"):
        (tiny_model / f"tiny.{ending}").rename(tiny_model / f"cifar10.{ending}")
    with pytest.raises(InputError, match="is the card of 'tiny'; expected that of 'cifar10'"):
        SoftHebbNet.from_pretrained("cifar10")


CHANGES: list[dict[str, Any]] = [
    {"seed": "0"},
    {"seed": None},
    {"classes": [1]},
    {"classes": "ab"},
    {"accuracies": {}},
    {"accuracies": {"test_accuracy": "high"}},
    {"accuracies": {"test_accuracy": 1}},
    {"stored_accuracy": float("nan")},
    {"more": 1},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_changed_cards(tiny_model: Path, change: dict[str, Any]) -> None:
    path = tiny_model / "tiny.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=r"tiny\.json is not a model card: "):
        pretrained.cards()


@pytest.mark.parametrize("junk", [b"", b"[]", b"7", b"{}", b"\xff\xfe", b"[" * 100_000])
def test_cards_of_junk(tiny_model: Path, junk: bytes) -> None:
    (tiny_model / "tiny.json").write_bytes(junk)
    with pytest.raises(InputError, match=r"tiny\.json is not a model card: "):
        SoftHebbNet.from_pretrained("tiny")


def test_the_package_brings_its_networks() -> None:
    found = importlib.resources.files("plastorch.hebbian.pretrained")
    kept = {entry.name for entry in found.iterdir() if not entry.name.startswith("__")}
    assert kept == {f"{name}.{ending}" for name in NAMES for ending in ("json", "safetensors")}
    assert sum(pretrained.weights_of(name).stat().st_size for name in NAMES) <= 25e6


@pytest.mark.parametrize("name", NAMES)
def test_cards_are_those_of_their_networks(name: str) -> None:
    card, net = pretrained.card_of(name), SoftHebbNet.from_pretrained(name)
    assert (card.channels, card.image_size) == (net.in_channels, net.image_size)
    assert len(card.classes) == net.readout.out_features
    assert card.images == handling(net.in_channels, net.image_size)
    config = resolved(find(card.experiment).config)
    _, typed = _parse_run(config, card.experiment, shlex.split(card.command)[3:])
    assert typed.spec() == net.spec
    images = torch.randint(0, 256, (2, *net.prepare(torch.rand(1, 1, 9, 9)).shape[1:])).byte()
    assert net(images).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_cards_have_the_figures_of_committed_results(name: str) -> None:
    card = pretrained.card_of(name)
    committed = [json.loads(path.read_text()) for path in RESULTS.glob("*/*.json")]
    of = [
        {"accuracies": {k: v for k, v in result["metrics"].items() if "accuracy" in k}} | result
        for result in committed
    ]
    told = json.loads(card.text())
    same = ("experiment", "seed", "command", "commit", "accuracies")
    assert any(all(result.get(key) == told[key] for key in same) for result in of)

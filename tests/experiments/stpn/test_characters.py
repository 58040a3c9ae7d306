"""The experiment on characters: equal parameters, small whole runs, bits, claims, settings."""

from collections.abc import Callable
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from plastorch.data.text import Text, new_repeats, windows
from plastorch.engine.errors import InputError
from plastorch.engine.run import RunFolder
from plastorch.experiments.context import Context
from plastorch.experiments.stpn import characters
from plastorch.experiments.stpn.characters import CharactersConfig, claims, measure
from plastorch.experiments.stpn.mqar_models import ALL
from plastorch.stp.recall import RecallNet

EXPERIMENT = "stpn-characters"
SMALL = CharactersConfig(
    models=("stpn", "lstm"),
    parameters=2000,
    layers=1,
    width=8,
    steps=20,
    updates=30,
    batch_size=16,
    learning_rates=(0.01, 1e-5),
    tuning_updates=10,
)


@pytest.fixture
def text(monkeypatch: pytest.MonkeyPatch) -> Text:
    """Returns a text in which names, each of a line, come twice."""
    random = torch.Generator().manual_seed(0)

    def lines(count: int, first: int, last: int) -> torch.Tensor:
        names = torch.randint(first, last, (count, 9), generator=random, dtype=torch.uint8)
        names[:, -1] = 10
        return names.repeat(1, 2).flatten()

    found = Text(lines(400, 97, 110), lines(40, 97, 110), lines(60, 97, 110), 3)
    monkeypatch.setattr(characters, "library_source", lambda: found)
    return found


def test_all_models_have_as_many_parameters() -> None:
    config = CharactersConfig()
    for name in ALL:
        blocks = config.network(name).blocks
        counts = [sum(p.numel() for p in b.parameters() if p.requires_grad) for b in blocks]
        assert len(counts) == 2
        assert counts == pytest.approx([50_000] * 2, rel=0.02)


def test_bits_are_those_of_the_network(
    tmp_path: Path, text: Text, context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against one pass over all windows and a mean by hand."""
    nets: dict[str, RecallNet] = {}
    new = characters._test

    def kept(net: RecallNet, *rest: Any) -> Any:
        nets[f"{len(nets)}"] = net
        return new(net, *rest)

    monkeypatch.setattr(characters, "_test", kept)
    result = measure(SMALL, replace(context(tmp_path), quick=False))
    read, following = windows(text.test, SMALL.steps)
    repeats = new_repeats(read, following, text.train)
    for net, name in zip(nets.values(), SMALL.models, strict=True):
        with torch.no_grad():
            scores, answers = net(read, following)
        bits = F.cross_entropy(scores, answers, reduction="none") / log(2)
        bits = bits.view(SMALL.steps, -1).mT
        metrics = result["metrics"]
        assert metrics[f"{name}_bits"] == pytest.approx(float(bits.mean()), rel=1e-5)
        found = metrics[f"{name}_bits_of_repeats"]
        assert found == pytest.approx(float(bits[repeats].mean()), rel=1e-5)
        rows = [row for row in RunFolder(tmp_path).records() if row["phase"] == f"context-{name}"]
        assert [row["characters"] for row in rows] == list(range(1, 21, 2))
        assert sum(int(row["count"]) for row in rows) == read.numel()
        assert metrics[f"{name}_learning_rate"] == 0.01
    assert next(iter(result["metrics"])) == "stpn_bits"
    assert all(claim["holds"] is None for claim in result["claims"])


def test_claims_are_asserted_of_the_defaults_only() -> None:
    metrics = {
        "stpn_bits": 2.0,
        "lstm_bits": 1.9,
        "gru_bits": 2.1,
        "stpn_bits_of_repeats": 2.0,
        "lstm_bits_of_repeats": 3.0,
        "gru_bits_of_repeats": 2.5,
        "delta_net_bits_of_repeats": 2.0,
    }

    def holds(config: CharactersConfig, quick: bool = False) -> dict[str, bool | None]:
        return {claim.id: claim.holds for claim in claims(config, metrics, quick)}

    expected = {"repeats": True, "characters": False, "repeats-of-delta-net": True}
    assert holds(CharactersConfig()) == expected
    assert set(holds(CharactersConfig(), quick=True).values()) == {None}
    assert set(holds(CharactersConfig(layers=1)).values()) == {None}
    assert holds(CharactersConfig(models=("gru",))) == {}
    targets = {claim.id: claim.target for claim in claims(CharactersConfig(), metrics, False)}
    assert targets == {"repeats": 2.5, "characters": 1.9, "repeats-of-delta-net": 2.0}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"models": ("rnn",)}, "models are .'rnn'.; expected some of"),
        ({"learning_rates": ()}, "learning_rates are .*; expected one or more, each once"),
        ({"steps": 15}, "steps is 15; expected 16 to"),
        ({"parameters": 10}, "parameters is 10; expected"),
    ],
)
def test_bad_settings(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        CharactersConfig(**setting)

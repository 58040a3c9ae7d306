"""The examples run, and learn."""

import importlib.util
import re
from collections import Counter
from math import log2
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from plastorch import STPN

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def character_model() -> ModuleType:
    path = EXAMPLES / "character_model.py"
    spec = importlib.util.spec_from_file_location("character_model", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("core", ["stpn", "lstm"])
def test_a_character_model_learns_more_than_how_often_characters_are(
    core: str, character_model: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """Held-out text costs fewer bits than by the frequencies of its own characters."""
    characters = 12_000
    bits = character_model.main(core, characters, 3)
    held_out = character_model.TEXT[characters * 9 // 10 : characters]
    counts = Counter(held_out).values()
    unigram = -sum(n / len(held_out) * log2(n / len(held_out)) for n in counts)
    assert max(bits) < unigram
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3
    assert re.findall(r"\d+\.\d+", printed[-1]) == [f"{value:.2f}" for value in bits]


def test_one_line_of_the_character_model_differs(character_model: ModuleType) -> None:
    cores = {core: character_model.CharacterModel(core, 9).core for core in ("stpn", "lstm")}
    assert isinstance(cores["stpn"], STPN) and isinstance(cores["lstm"], nn.LSTM)
    text = (EXAMPLES / "character_model.py").read_text()
    assert len(re.findall(r"^.*(?:STPN|LSTM)\(.*$", text, re.MULTILINE)) == 1


@pytest.mark.parametrize("core", ["stpn", "lstm"])
def test_pieces_of_a_text_go_on_where_the_last_one_ended(
    core: str, character_model: ModuleType
) -> None:
    """Their mean, weighted by length, is the loss of the text read at once."""
    torch.manual_seed(0)
    model = character_model.CharacterModel(core, 9, hidden_size=5)
    text = torch.randint(9, (18, 2))
    whole = [loss.item() for loss in model.losses(text, steps=17)]
    parts = [loss.item() for loss in model.losses(text, steps=7)]
    assert len(whole) == 1 and len(parts) == 3
    mean = sum(n * loss for n, loss in zip((7, 7, 3), parts, strict=True)) / 17
    assert mean == pytest.approx(whole[0], abs=1e-5)

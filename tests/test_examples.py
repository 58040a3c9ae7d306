"""The examples run, and learn."""

import importlib.util
import re
from collections import Counter
from math import log, log2
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
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
    text = character_model.TEXT[:12_000]
    bits = character_model.main(core, text, 3)
    held_out = text[len(text) * 9 // 10 :]
    counts = Counter(held_out).values()
    assert bits < -sum(n / len(held_out) * log2(n / len(held_out)) for n in counts)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3
    assert re.findall(r"\d+\.\d+", printed[-1])[1] == f"{bits:.2f}"


def test_one_line_of_the_character_model_differs(character_model: ModuleType) -> None:
    cores = {core: character_model.CharacterModel(core).core for core in ("stpn", "lstm")}
    assert isinstance(cores["stpn"], STPN) and isinstance(cores["lstm"], nn.LSTM)
    text = (EXAMPLES / "character_model.py").read_text()
    assert len(re.findall(r"^.*(?:STPN|LSTM)\(.*$", text, re.MULTILINE)) == 1


@pytest.mark.parametrize("core", ["stpn", "lstm"])
def test_pieces_of_a_text_go_on_where_the_last_one_ended(
    core: str, character_model: ModuleType
) -> None:
    """Their mean is that of the text read at once."""
    torch.manual_seed(0)
    model = character_model.CharacterModel(core)
    text = torch.randint(128, (101, 2))
    scores = model.readout(model.core(model.embedding(text[:-1]))[0])
    whole = F.cross_entropy(scores.flatten(0, 1), text[1:].flatten()).item() / log(2)
    assert model.bits(text) == pytest.approx(whole, rel=1e-5)

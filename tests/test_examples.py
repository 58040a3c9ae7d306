"""The examples run, and learn."""

import importlib.util
import re
from collections import Counter
from math import log, log2
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from plastorch import STPN
from plastorch.data import ImageSet, load_images
from plastorch.hebbian.pretrained import cards

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def character_model() -> ModuleType:
    return example("character_model")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_short_and_say_how_they_are_run(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 60 and lines[0].startswith('"""')
    assert any(f"python examples/{path.name}" in line for line in lines[:8])


def test_own_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_images = example("own_images")
    own_images.write_digits(tmp_path, count=24)
    assert own_images.main(tmp_path) > 0.5
    told, kept = capsys.readouterr().out.splitlines()
    assert told.startswith("36 images without a class, 24 with;")
    assert kept.startswith(str(tmp_path / "net.safetensors")) and "5.5 million" in kept


@pytest.mark.parametrize("name", ["cifar10", "tiny"])
def test_pretrained_features(
    name: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Images that are brighter at the top or on the left, some gray, of several sizes."""
    if name == "tiny":
        request.getfixturevalue("tiny_model")
    elif name not in cards():
        pytest.skip(f"no network {name!r} is in the package yet")
    images = [torch.rand(1 + 2 * (i % 3 == 0), 20 + i, 20 + i) / 2 for i in range(60)]
    for i, image in enumerate(images):
        image.transpose(1, 2 - i % 2)[:, :10] += 0.5
    classes = [("left", "top")[i % 2] for i in range(60)]
    assert example("pretrained_features").main(images, classes, name) > 0.9
    assert capsys.readouterr().out.startswith("60 images, ")


def test_bayesian_inference(capsys: pytest.CaptureFixture[str]) -> None:
    assert example("bayesian_inference").main(samples=60_000) < 0.03
    printed = capsys.readouterr().out.splitlines()
    entropies = [float(number) for number in re.findall(r"\d\.\d{4}", printed[-1])]
    assert entropies[1] < entropies[0] < entropies[1] + 0.02
    assert len(printed) == 8


def test_mixed_network() -> None:
    """Bright and dark halves: two classes that need no data root."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 100, (200, 3, 32, 32), generator=random)
    labels = torch.arange(200) % 2
    images[labels == 1, :, :16] += 150
    parts = images[:160].byte(), labels[:160], images[160:].byte(), labels[160:]
    halves = ImageSet("halves", *parts, ("dark", "bright"), "made up", "")
    assert example("mixed_network").main(halves) > 0.9


def test_rank_coding() -> None:
    found = example("rank_coding").main(updates=60)
    assert found["rank coding"] > 0.8
    assert found["ideal observer"] == pytest.approx(0.916, abs=0.02)


def test_live_stream(capsys: pytest.CaptureFixture[str]) -> None:
    assert example("live_stream").main(epochs=15) > 0.6
    assert capsys.readouterr().out.startswith("machine 0: ")


def test_short_term_stdp() -> None:
    found = example("short_term_stdp").main(neurons=40, train=600, test=100)
    assert found["with"] > found["without"] + 0.1


def test_stdp_digits() -> None:
    """Four times as often right as by chance, after a few hundred digits."""
    assert example("stdp_digits").main(neurons=40, train=800, named=400, test=200) > 0.4
    lines = (EXAMPLES / "stdp_digits.py").read_text().splitlines()
    assert len(lines) <= 40


def test_fatiguing_stdp() -> None:
    found = example("fatiguing_stdp").main(seconds=20)
    assert found["STDP"] < 0.3 and found["fatiguing STDP"] > 0.8


@pytest.mark.parametrize("seed", [0, 1])
def test_two_dimensional_code(seed: int) -> None:
    """The neuron without fatigue learns which pixels are bright, the other which are red."""
    found = example("two_dimensional_code").main(seed=seed)
    brightness, color = found["without"]
    assert brightness > 0.9 and brightness > color + 0.1
    brightness, color = found["strong"]
    assert color > 0.95 and abs(brightness - 0.5) < 0.1


def test_efference_copies(capsys: pytest.CaptureFixture[str]) -> None:
    """After four batches it has learned nothing to speak of; that takes 120."""
    found: dict[str, Any] = example("efference_copies").main(batches=4, train=256, test=100)
    assert min(found.values()) > 0.2
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_pretrain_on_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From names to weights in 25 lines, on pictures of two folders and of none."""
    text = (EXAMPLES / "pretrain_on_pictures.py").read_text()
    whole = text[text.index("import torch") : text.index('if __name__ == "__main__"')]
    assert sum(bool(line.strip()) for line in whole.splitlines()) <= 25
    random = np.random.default_rng(0)
    for i in range(12):
        (tmp_path / ("", "one", "two")[i % 3]).mkdir(exist_ok=True)
        shape = (20 + i, 30, 3) if i % 2 else (24, 24 + i)
        pixels = random.integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / ("", "one", "two")[i % 3] / f"{i}.png")
    encoder = example("pretrain_on_pictures").main(tmp_path, epochs=2, side=32, batch=4)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all(line.startswith("epoch ") for line in lines)
    kept = torch.load(tmp_path / "encoder.pt")
    assert all(torch.equal(value, kept[name]) for name, value in encoder.state_dict().items())


def test_files_by_metadata(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(300):
        kind = ("log", "png", "md")[i % 3]
        folder = tmp_path / kind / str(i % 4)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file-{i}.{kind}").write_bytes(b"x" * 10 ** (2 + i % 3))
    right, most = example("files_by_metadata").main(tmp_path)
    assert right > 0.9 > most + 0.4
    assert "240 files of" in capsys.readouterr().out


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


@pytest.mark.filterwarnings("ignore")  # of pytorch-lightning
def test_lightning_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = load_images("mnist").few(600, 200, 0)
    assert example("lightning_loop").main(images, epochs=3) > 0.7

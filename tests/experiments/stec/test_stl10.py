"""Efference copies on larger images: a whole run on made-up files, the protocol, bad settings."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plastorch.efference.linear_probe import LinearProbe, probe_layer
from plastorch.efference.streams import Stream
from plastorch.engine.checkpoint import load_tensors
from plastorch.engine.errors import InputError
from plastorch.engine.run import RunFolder
from plastorch.engine.streams import stream
from plastorch.experiments.context import Context
from plastorch.experiments.stec import images as stec_images
from plastorch.experiments.stec.panels import panels
from plastorch.experiments.stec.stl10 import StecStl10Config, measure
from plastorch.experiments.stec.transfer import Amounts
from plastorch.report.load import load_run

EXPERIMENT = "stec-stl10"
OPTIONS: dict[str, Any] = {"methods": ("simclr",), "shuffled": (), "hidden": 8, "transfer": False}
SMALL = StecStl10Config(**OPTIONS)


@pytest.fixture(autouse=True)
def root(own_cache: Path, no_root: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default data root with 20 + 20 labeled and 30 unlabeled images."""
    root = own_cache / "plastorch" / "data"
    folder = root / "stl10_binary"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for name, count in (("train", 20), ("test", 20), ("unlabeled", 30)):
        random.integers(0, 256, (count, 3, 96, 96), dtype=np.uint8).tofile(folder / f"{name}_X.bin")
        if name != "unlabeled":
            (1 + np.arange(count, dtype=np.uint8) % 10).tofile(folder / f"{name}_y.bin")
    names = "airplane bird car cat deer dog horse monkey ship truck"
    (folder / "class_names.txt").write_text("\n".join(names.split()))
    monkeypatch.setattr(stec_images, "FEW", Amounts((12, 4), (2, 2), 1))
    return root


def test_encoders_learn_without_labels_and_probes_with_them(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    result = measure(SMALL, context(tmp_path / "run"))
    assert result["complete"] and result["data"]["n_unlabelled"] == 30
    rows = RunFolder(tmp_path / "run").records()
    phases = list(dict.fromkeys(row["phase"] for row in rows))
    assert phases[:4] == ["simclr-baseline-0", "probe-simclr-baseline-0-images",
                          "simclr-stec-0", "probe-simclr-stec-0-images"]  # fmt: skip
    probed = {row["phase"]: row for row in rows if str(row["phase"]).startswith("probe")}
    for row in rows:
        if row["phase"] == "stec-measure":
            last = probed[f"probe-{row['arm']}-0-images"]
            assert row["accuracy"] == last["test_accuracy"]  # both in bfloat16
    (file,) = (tmp_path / "run" / "checkpoint").glob("*.safetensors")
    tensors = load_tensors(file)
    layers = [tensors[f"model.simclr-{role}-0-images.weight"] for role in ("baseline", "stec")]
    start = probe_layer(32, 10, stream(0, Stream.PROBE_WEIGHTS, 0)).weight
    assert all(0 < (layer - start).abs().max() < 0.1 for layer in layers)  # alike at first
    assert not torch.equal(*layers)
    names = [panel.name for panel in panels(load_run(tmp_path / "run"))]
    assert names == [
        "gains-logistic_accuracy",
        "gains-accuracy",
        "probes",
        "stec-courses",
        "told-simclr",
        "stec-geometry",
    ]


def test_probes_see_in_the_precision_that_they_are_tested_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    step, seen = LinearProbe.step, set()

    def spied(self: LinearProbe) -> Any:
        seen.add(self.bfloat16)
        return step(self)

    monkeypatch.setattr(LinearProbe, "step", spied)
    for bfloat16 in (True, False):
        seen.clear()
        measure(replace(SMALL, bfloat16=bfloat16), context(tmp_path / str(bfloat16)))
        assert seen == {bfloat16}


def test_a_smoke_run_of_the_papers_settings_is_small(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    small = StecStl10Config(**OPTIONS, preset="paper")
    result = measure(small, context(tmp_path / "run"))
    config = result["config"]
    assert (config["preset"], config["optimizer"], config["encoder"]) == ("none", "sgd", "small")
    assert (config["copy"], config["warm_up"]) == ("compatible", 0.5)


def test_folders_of_images_will_do(
    tmp_path: Path, root: Path, write_tree: Callable[..., Path], context: Callable[..., Context]
) -> None:
    sizes = ((50, 40),) * 6
    write_tree(root / "imagenette2", sizes, ("train", "val"), "RGB", "JPEG",
               ("n01440764", "n02102040"))  # fmt: skip
    config = replace(SMALL, dataset="imagenette", size=40, transfer=True)
    result = measure(config, context(tmp_path / "run"))
    assert result["data"]["classes"] == ["tench", "English springer"]
    assert result["data"]["n_unlabelled"] == 0
    assert "simclr_stec_detection_ap50" in result["metrics"]


def test_presets_of_both_data_sets() -> None:
    stl10, imagenet = (StecStl10Config(dataset=name, preset="paper", seeds=1)
                       for name in ("stl10", "imagenet"))  # fmt: skip
    assert (stl10.epochs, stl10.batch_size, stl10.manipulation) == (1000, 1024, 0.3)
    assert (imagenet.epochs, imagenet.batch_size, imagenet.manipulation) == (100, 1680, 0.6)
    assert (imagenet.encoder, imagenet.views().size, imagenet.temperature) == ("resnet50", 224, 0.1)
    assert stl10.views().size == 96 and stl10.temperature == 0.2


@pytest.mark.parametrize("dataset", ["stl10", "imagenette", "imagenet"])
def test_claims_are_judged_with_the_papers_settings_too(dataset: Any) -> None:
    config = StecStl10Config(dataset=dataset, preset="paper", methods=("simclr",), shuffled=())
    assert config.ordinary and config.published == {}
    assert not replace(config, learning_rate=0.1).ordinary
    assert not StecStl10Config(dataset="imagenette", methods=("simclr",)).ordinary


@pytest.mark.parametrize(
    ("dataset", "encoder", "hidden"),
    [
        ("stl10", None, 512),
        ("stl10", "resnet50", 2048),
        ("imagenet", None, 2048),
        ("imagenet", "resnet18", 512),
        ("imagenet", "small", 512),
    ],
)
def test_the_papers_projections_suit_the_encoder(dataset: Any, encoder: Any, hidden: int) -> None:
    given = {} if encoder is None else {"encoder": encoder}
    config = StecStl10Config(
        dataset=dataset, preset="paper", methods=("simclr",), shuffled=(), seeds=1, **given
    )
    assert config.hidden == hidden


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"size": 64}, "size is 64; expected 96"),
        ({"probe_epochs": 0}, "epochs is 0"),
        ({"jitter": 2.0}, r"jitter is 2\.0"),
        ({"copy": "audio"}, "copy is 'audio'"),
    ],
)
def test_bad_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        StecStl10Config(**settings)

"""Efference copies on spoken words: whole runs on made-up recordings, clips, and bad settings."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from plastorch.data.audio.logmel import FLOOR, LogMel
from plastorch.data.audio.recordings import load_speech
from plastorch.efference import AUDIO, FACTORS
from plastorch.engine.errors import InputError
from plastorch.experiments.context import Context
from plastorch.experiments.stec.audio import (
    BANDS,
    FRAMES,
    StecAudioConfig,
    audio_study,
    measure,
    read_clips,
    standardized,
)
from plastorch.experiments.stec.panels import panels
from plastorch.report.load import load_run

EXPERIMENT = "stec-audio"
SMALL = StecAudioConfig(methods=("simclr",), width=2, hidden=8)
WORDS = ("no", "yes")


def tone(pitch: int, seed: int) -> tuple[int, np.ndarray]:
    random = torch.Generator().manual_seed(seed)
    time = torch.arange(4000 + 40 * seed) / 8000
    sound = torch.sin(2 * torch.pi * (300 + 150 * pitch) * time)
    return 8000, (0.3 * sound + 0.02 * torch.randn(len(time), generator=random)).numpy()


@pytest.fixture(autouse=True)
def root(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with two digits, and two words that are said by twelve speakers."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "fsdd" / "recordings"
    folder.mkdir(parents=True)
    for digit in range(2):
        for take in (0, 1, 2, 5, 6, *range(10, 22)):
            wavfile.write(folder / f"{digit}_ann_{take}.wav", *tone(digit, take))
    lists: dict[str, list[str]] = {"testing": [], "validation": []}
    for number, word in enumerate(WORDS):
        (root / "speech_commands" / word).mkdir(parents=True)
        for speaker in range(12):
            name = f"{word}/{speaker:08x}_nohash_0.wav"
            wavfile.write(root / "speech_commands" / name, *tone(3 + number, speaker))
            if speaker < 4:
                lists["testing" if speaker < 2 else "validation"].append(name)
    for kind, names in lists.items():
        (root / "speech_commands" / f"{kind}_list.txt").write_text("\n".join(names))
    monkeypatch.setenv("PLASTORCH_DATA", str(root))
    return root


def test_a_run_is_tested_on_each_set(tmp_path: Path, context: Callable[..., Context]) -> None:
    result = measure(SMALL, context(tmp_path / "run"))
    assert result["complete"] and result["data"]["n_train"] == 2 * 12 + 2 * 8
    assert result["data"]["classes"] == [*WORDS, *map(str, range(10))]
    metrics = result["metrics"]
    for arm in ("simclr_baseline", "simclr_stec", "simclr_shuffled"):
        both = [metrics[f"{arm}_{exam}_logistic_accuracy"] for exam in ("speech_commands", "fsdd")]
        if arm == "simclr_stec":
            assert metrics["test_accuracy"] == pytest.approx(sum(both) / 2)
    told = [f"simclr_stec_found_{name}_accuracy" in metrics for name in FACTORS["audio"]]
    assert told == [True, True, True, False, False]  # those that have a weight
    assert all(claim["holds"] is None for claim in result["claims"])
    names = [panel.name for panel in panels(load_run(tmp_path / "run"))]
    assert names == [
        "gains-logistic_accuracy",
        "gains-accuracy",
        "probes",
        "stec-courses",
        "told-simclr",
        "stec-geometry",
    ]


def test_settings_are_chosen_by_validation_words(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    config = StecAudioConfig(methods=("simclr",), shuffled=(), width=2, hidden=8, validation=True)
    result = measure(config, context(tmp_path / "run"))
    assert result["data"]["n_test"] == result["data"]["n_validation"] == 2 * 2 + 2 * 2
    assert not config.ordinary


def test_words_of_different_sets_are_different_classes(context: Callable[..., Context]) -> None:
    sets = {name: load_speech(name) for name in ("speech-commands", "fsdd")}
    held_out = replace(SMALL, validation=True), replace(SMALL, sweep=True)
    for config, part in zip((SMALL, *held_out), ("test", "validation", "validation"), strict=True):
        study = audio_study(config, sets, context(Path()))
        words, digits = study.exams["speech_commands"], study.exams["fsdd"]
        assert set(words.labels.tolist()) == {0, 1} and set(digits.labels.tolist()) == {2, 3}
        assert study.classes == 12
        assert len(study.sources.labels) == len(words.labels) + len(digits.labels) == 40
        assert len(digits.test_labels) == len(sets["fsdd"].rows(part))  # type: ignore[arg-type]


def test_clips_are_a_second_in_the_middle_of_recordings(tmp_path: Path) -> None:
    sound = 0.1 * torch.randn(12000, generator=torch.Generator().manual_seed(0))
    for name, samples in (("short", sound[:2000]), ("long", sound)):
        wavfile.write(tmp_path / f"{name}.wav", 8000, samples.numpy())
    short, long = read_clips([tmp_path / "short.wav", tmp_path / "long.wav"])
    assert short.shape == (BANDS, FRAMES) == (40, 98)
    quiet = short == torch.tensor(FLOOR).log()
    assert quiet[:, :35].all() and quiet[:, -35:].all() and not quiet[:, 49].any()
    expected = LogMel(8000, 40)(sound[2000:10000]).T
    torch.testing.assert_close(long, expected, rtol=1e-4, atol=1e-4)


def test_whole_clips_are_heard_as_views_that_change_nothing() -> None:
    clips = torch.randn(3, 40, 98)
    actions = AUDIO.sample(3, torch.Generator().manual_seed(0))
    none = torch.zeros(3)
    actions = actions._replace(
        start=none, length=none + 1, shift=none, gain=none, snr=none + 90,
        time_mask_length=none, band_mask_length=none,
    )  # fmt: skip
    torch.testing.assert_close(
        standardized(clips), AUDIO.apply(clips, actions), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"datasets": ("music",)}, "datasets are"),
        ({"datasets": ()}, "datasets are"),
        ({"copy": "egocentric"}, "copy is 'egocentric'; expected audio"),
        ({"factor_weights": (1.0, 1.0)}, r"factor_weights are \(1\.0, 1\.0\); expected 5"),
        ({"factor_weights": (0.0,) * 5}, "factor_weights are .* not all 0"),
        ({"factor_weights": (-1.0,) * 5}, r"one of factor_weights is -1\.0"),
        ({"transfer": True}, "transfer is True"),
        ({"preset": "paper"}, "preset is 'paper'; expected none"),
        ({"least_length": 0.0}, r"least_length is 0\.0"),
        ({"shift": -1}, "shift is -1"),
    ],
)
def test_bad_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        StecAudioConfig(**settings)

"""Spoken words: small whole runs on made-up recordings, listening, claims, and bad settings."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from plastorch.cli import main
from plastorch.data.audio.frames import Frames, Scale, louder, masked, stretched
from plastorch.data.audio.logmel import LogMel
from plastorch.data.audio.recordings import load_speech
from plastorch.data.audio.wav import read_wav
from plastorch.engine.checkpoint import load_tensors
from plastorch.engine.errors import InputError, Interrupted
from plastorch.engine.run import RunFolder
from plastorch.experiments.context import Context
from plastorch.experiments.rank import speech as rank_speech
from plastorch.experiments.rank import speech_data as rank_speech_data
from plastorch.experiments.rank.listen import course, hear, load_ear, newest_trained
from plastorch.experiments.rank.reading import (
    best_points,
    gains,
    least_rise,
    thresholds_with,
    time_to_reach,
    validated,
)
from plastorch.experiments.rank.speech import measure
from plastorch.experiments.rank.speech_claims import claims
from plastorch.experiments.rank.speech_data import batches
from plastorch.experiments.rank.speech_figures import Reading, chosen
from plastorch.experiments.rank.speech_networks import RankSpeechConfig, rank_name
from plastorch.experiments.rank.timing_panels import panels
from plastorch.rank import RankTraining
from plastorch.rank.evaluate import Readings
from plastorch.report.load import load_run

EXPERIMENT = "rank-speech"
SMALL = RankSpeechConfig(dataset="fsdd", hidden_size=8, batch_size=10)


def tone(digit: int, seed: int, rate: int = 8000) -> tuple[int, np.ndarray]:
    """A digit as it is said here: a pitch of its own, in noise."""
    random = torch.Generator().manual_seed(seed)
    time = torch.arange(rate // 8 + 80 * (seed % 7)) / rate
    sound = torch.sin(2 * torch.pi * (300 + 150 * digit) * time)
    return rate, (0.3 * sound + 0.02 * torch.randn(len(time), generator=random)).numpy()


@pytest.fixture(autouse=True)
def root(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with two digits, said by three speakers."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "fsdd" / "recordings"
    folder.mkdir(parents=True)
    for digit in range(2):
        for number, speaker in enumerate(("ann", "bob", "eve")):
            for take in (0, 1, 5, 6, 10, 11, 12, 13):
                seed = 100 * digit + 10 * number + take
                wavfile.write(folder / f"{digit}_{speaker}_{take}.wav", *tone(digit, seed))
    monkeypatch.setenv("PLASTORCH_DATA", str(root))
    monkeypatch.setattr(rank_speech, "QUICK", (20, 8, 8))
    return root


def test_a_run_compares_three_networks(tmp_path: Path, context: Callable[..., Context]) -> None:
    result = measure(SMALL, context(tmp_path / "run"))
    data, metrics = result["data"], result["metrics"]
    assert result["complete"] and (data["n_train"], data["n_validation"], data["n_test"]) == (
        *(20, 8, 8),
    )
    assert data["frame_ms"] == [25.0, 10.0] and data["rate"] == 8000 and len(data["sha256"]) == 64
    for name in ("last", "all", "chosen"):
        assert 0 <= metrics[f"{name}_accuracy"] <= 1
        assert metrics[f"{name}_mean_ms"] == pytest.approx(25 + 10 * metrics[f"{name}_mean_step"])
        assert 25 <= metrics[f"{name}_after_onset_ms"] <= metrics[f"{name}_mean_ms"]
    assert metrics["chosen_threshold"] == 0.7 and metrics["chosen_entropy_weight"] == 0
    assert metrics["test_accuracy"] == metrics["rank_700_0_accuracy"]
    assert 0 <= metrics["rank_700_0_validation_accuracy"] <= 1
    assert all(claim["holds"] is None for claim in result["claims"]) and result["claims"]
    rows = RunFolder(tmp_path / "run").records()
    assert list(dict.fromkeys(row["phase"] for row in rows)) == ["last", "all", "rank-700-0"]
    names = {panel.name for panel in panels(load_run(tmp_path / "run"))}
    assert {"word", "accuracy-time", "decision-times", "fixed-time", "threshold-entropy"} <= names


def test_further_objectives_with_convolutions(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    config = replace(SMALL, core="convolutional", objectives=("hybrid", "cost"), varied=True)
    metrics = measure(config, context(tmp_path / "run"))["metrics"]
    rows = RunFolder(tmp_path / "run").records()
    phases = ["last", "all", "hybrid", "cost", "rank-700-0"]
    assert list(dict.fromkeys(row["phase"] for row in rows)) == phases
    for name in ("last", "all", "hybrid", "cost", "rank_700_0"):
        assert 0 <= metrics[f"{name}_validation_early_accuracy"] <= 1
        assert 0 <= metrics[f"{name}_early_accuracy"] <= 1
        error, time = 1 - metrics[f"{name}_priced_accuracy"], metrics[f"{name}_priced_mean_ms"]
        late = metrics[f"{name}_priced_cost"] - 0.8 * error
        assert 0 < late < 0.2 + 1e-9  # 0.2 if all are answered at the end
        assert time >= 25 and 0 < metrics[f"{name}_priced_threshold"] < 1
    curves = panels(load_run(tmp_path / "run"))[1]
    assert curves.name == "accuracy-time" and "expected price" in curves.caption
    assert load_ear(tmp_path / "run").net.rnn.input_size == 40


def test_what_was_stopped_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    measure(SMALL, context(tmp_path / "whole"))
    step, count = RankTraining.step, 0

    def stopping(self: RankTraining) -> Any:
        nonlocal count
        count += 1
        if count == 12:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr("plastorch.engine.loop.Loop.interval_s", 0.0)
    monkeypatch.setattr(RankTraining, "step", stopping)
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        measure(SMALL, context(tmp_path / "stopped"))
    measure(SMALL, context(tmp_path / "stopped"))
    whole, stopped = (
        load_tensors(next((tmp_path / name / "checkpoint").glob("*.safetensors")))
        for name in ("whole", "stopped")
    )
    assert whole.keys() == stopped.keys()
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)


def test_networks_begin_alike_and_see_the_same_batches(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speech, call, scaled = rank_speech.load_speech("fsdd"), Scale.__call__, []

    def counting(self: Scale, frames: Frames) -> Frames:
        scaled.append(len(frames.labels))
        return call(self, frames)

    monkeypatch.setattr(Scale, "__call__", counting)
    words, scale = rank_speech_data.read_words(speech, LogMel(8000))
    assert sum(scaled) == len(speech.labels)  # each word once
    inside = torch.cat([words.train.bands[i, :n] for i, n in enumerate(words.train.lengths)])
    assert torch.allclose(inside.mean(0), torch.zeros(40), atol=1e-4)
    assert bool((scale.deviation > 0).all())
    one, other = (words.training_batch(words.order(8, 0), 3) for _ in range(2))
    assert torch.equal(one.x, other.x) and not torch.equal(
        one.x, words.training_batch(words.order(8, 0), 4).x
    )
    parts = batches(words.test, torch.device("cpu"), 5)
    assert [len(part.labels) for part in parts] == [5, 5, 2]
    assert torch.equal(torch.cat([part.labels for part in parts]), words.test.labels)


def test_masks_hide_time_within_words() -> None:
    lengths, random = torch.tensor([30, 12, 5]).repeat(200), torch.Generator().manual_seed(0)
    hidden = masked(torch.ones(600, 30, 6), 10, 0, random, lengths)[..., 0] == 0
    assert not hidden[torch.arange(30) >= lengths[:, None]].any()
    counts = hidden.sum(dim=1)
    assert set(counts[lengths > 5].tolist()) == set(range(11)) and counts[lengths == 5].max() == 5


def test_words_of_another_speed_and_loudness() -> None:
    lengths, random = torch.tensor([30, 12, 30]), torch.Generator().manual_seed(0)
    inside = torch.arange(30) < lengths[:, None]
    ramp = (torch.arange(30.0) * inside)[..., None].expand(-1, -1, 2)
    assert torch.allclose(stretched(ramp, lengths, 0.0, random), ramp)
    fast = stretched(ramp, lengths, 0.2, random)
    slopes = fast[:, 6] - fast[:, 5]
    assert bool((slopes != 1).all()) and bool(((slopes - 1).abs() <= 0.2).all())
    middle = (lengths - 1) / 2
    assert torch.allclose(fast[torch.arange(3), middle.long(), 0] + 0.5 * slopes[:, 0], middle)
    assert not fast[~inside].any() and bool((fast[inside] <= ramp[inside].max()).all())
    change = (louder(ramp, lengths, 1.0, random) - ramp)[inside]
    assert (
        len(change[:, 0].mul(1e3).round().unique()) == 3
        and not louder(ramp, lengths, 1.0, random)[~inside].any()
    )


def test_a_trained_network_listens_as_the_recording_comes(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    lines: list[str] = []
    recording = tmp_path / "one.wav"
    wavfile.write(recording, *tone(1, 999, rate=16000))
    config = replace(SMALL, listen=str(recording))
    trained = measure(config, context(tmp_path / "runs" / "a", tell=lines.append))
    assert "chosen_threshold" in trained["metrics"] and "no trained network" in lines[0]
    said = lines[-1]
    assert newest_trained(tmp_path / "runs" / "b", quick=True) == tmp_path / "runs" / "a"
    assert newest_trained(tmp_path / "runs" / "b", quick=False) is None
    listened = measure(config, context(tmp_path / "runs" / "b", tell=lines.append))
    assert lines[-1] == said and lines[-2].startswith("listening with the network of")
    assert listened["data"]["name"] == "one.wav" and listened["complete"]
    # What the stream says is what the whole recording says.
    ear = load_ear(tmp_path / "runs" / "a")
    _, chances = course(ear, read_wav(recording))
    crossed = (chances.amax(1) > ear.net.threshold).nonzero()[:, 0].tolist()
    step = crossed[0] if crossed else len(chances) - 1
    heard = hear(ear, read_wav(recording))
    assert (heard.answer.step, heard.answer.crossed) == (step, bool(crossed))
    assert heard.answer.label == int(chances[step].argmax()) and heard.word == str(
        heard.answer.label
    )
    assert heard.answer.probability == pytest.approx(float(chances[step].max()), abs=1e-5)
    assert listened["metrics"]["answer_ms"] == pytest.approx(25 + 10 * step)
    assert f"after {25 + 10 * step:.0f} ms" in said and "“" in said
    (panel,) = panels(load_run(tmp_path / "runs" / "b"))
    assert panel.name == "word" and f"{25 + 10 * step} ms" in panel.caption


def test_the_command_line_listens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wavfile.write(tmp_path / "zero.wav", *tone(0, 5))
    common = ["--dataset", "fsdd", "--hidden-size", "4", "--quick", "--out", str(tmp_path)]
    assert main(["run", "rank-speech", *common]) == 0
    assert main(["run", "rank-speech", "--listen", str(tmp_path / "zero.wav"), *common]) == 0
    assert "ms" in capsys.readouterr().err
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    assert main(["run", "rank-speech", "--listen", str(tmp_path / "bad.wav"), *common]) == 2
    assert "damaged, cut off or not a WAV file" in " ".join(capsys.readouterr().err.split())


def test_only_whole_runs_of_this_experiment_can_listen(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    with pytest.raises(InputError, match="expected the folder of a whole run of rank-speech"):
        load_ear(tmp_path)
    run = context(tmp_path / "run")
    measure(SMALL, run)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    (tmp_path / "run" / "checkpoint" / "latest.json").unlink()
    with pytest.raises(InputError, match="has no checkpoint"):
        load_ear(tmp_path / "run")
    result["metrics"].pop("chosen_threshold")
    (tmp_path / "run" / "result.json").write_text(json.dumps(result))
    with pytest.raises(InputError, match="expected the folder of a whole run"):
        load_ear(tmp_path / "run")
    assert newest_trained(tmp_path / "other", quick=True) is None


def readings(step: list[int], right: list[bool]) -> Readings:
    """Of one threshold, 0.7; all cross."""
    count = len(step)
    return Readings(
        (0.7,),
        torch.tensor([step]),
        torch.ones(1, count, dtype=torch.bool),
        torch.tensor([right]),
        torch.full((count,), 100),
        torch.linspace(0, 1, 100, dtype=torch.float64),
    )


def test_figures_that_choose_are_at_the_networks_own_threshold() -> None:
    seen = readings([5, 5, 5, 7], [True, True, False, True])
    assert validated("rank-a", seen, 0.7) == {
        "rank_a_validation_first_accuracy": 0.0,
        "rank_a_validation_accuracy": 0.75,
        "rank_a_validation_mean_step": 5.5,
    }


def test_data_tell_that_the_set_is_reduced(root: Path) -> None:
    speech = replace(load_speech("fsdd", root), notice="fewer words")
    assert rank_speech._data(speech, LogMel(8000))["notice"] == "fewer words"


def test_the_earliest_of_the_best_is_chosen() -> None:
    def of(step: int, wrong: int) -> Reading:
        parts = [readings([step] * 100, [i >= wrong for i in range(100)]) for _ in range(2)]
        return Reading(parts[0], parts[1], 0.7, 0.0)

    found = {"last": of(1, 0), "rank-a": of(50, 10), "rank-b": of(30, 12), "rank-c": of(10, 20)}
    assert chosen(found) == "rank-b"  # a standard error of 90 % in 100 is 3 %


def test_curves_are_compared_at_equal_times() -> None:
    ours = torch.tensor([[10.0, 0.6], [30.0, 0.9], [20.0, 0.8]]).double().numpy()
    theirs = torch.tensor([[15.0, 0.6], [40.0, 0.85]]).double().numpy()
    found = gains(ours, theirs, 4)
    assert found[:, 0].tolist() == [15, 20, 25, 30]
    assert found[:, 1] == pytest.approx([0.1, 0.15, 0.15, 0.15])
    assert gains(ours, theirs + np.array([100, 0]), 4).shape == (0, 2)
    assert best_points(theirs[::-1]).tolist() == [1, 0]
    assert time_to_reach(theirs, 0.725) == pytest.approx(27.5)
    assert (time_to_reach(theirs, 0.1), time_to_reach(theirs, 0.99)) == (15, 40)
    assert least_rise([1.0, 2.0, 4.0]) == 1 and thresholds_with(0.25)[:2] == (0.25, 0.3)


def test_claims_are_asserted_of_whole_runs_only() -> None:
    def curve(shift: float) -> torch.Tensor:
        return torch.tensor([[10 + shift, 0.5], [50 + shift, 0.9]], dtype=torch.float64)

    curves = {f"{name}.curve": curve(10) for name in ("last", "all")}
    curves |= {"rank.curve": curve(-90), "chosen.curve": curve(0)}
    curves["grid"] = torch.tensor([[0.9, 0, 20, 0.8], [0.9, 0.1, 30, 0.85]], dtype=torch.float64)
    figures = {"last_last_accuracy": 0.9, "chosen_accuracy": 0.89, "chosen_skipped": 0.6}
    figures |= {"chosen_mean_ms": 400.0, "last_same_accuracy_ms": 500.0}
    figures |= {"chosen_answer_steps": 0.4, "chosen_answer_time": 0.5}
    figures |= {"all_validation_early_accuracy": 0.8, "all_early_accuracy": 0.76}
    figures |= {"cost_validation_early_accuracy": 0.7, "cost_early_accuracy": 0.9}
    rows: list[Any] = [
        {"phase": phase, "computed_steps": steps, "seconds": steps}
        for phase, courses in (("last", (98.0, 98.0)), ("rank-900-0", (90.0, 40.0)))
        for steps in courses
    ]
    held = {claim.id: claim.holds for claim in claims(figures, curves, rows, 500, True)}
    assert held.pop("gain-all") is None
    assert held == dict.fromkeys(held, True) and len(held) == 17
    assert {claim.holds for claim in claims(figures, curves, rows, 500, False)} == {None}
    curves["last.curve"] = curve(-10)
    judged = claims(figures, curves, rows, 500, True)
    assert [claim.id for claim in judged if claim.holds is False] == ["gain", "gain-least"]
    curves["last.curve"] = curve(-90)  # it has ended before the other one begins
    assert {c.id for c in claims(figures, curves, rows, 500, True)} == held.keys() - {
        "gain",
        "gain-least",
    } | {"gain-all"}
    curves["chosen.curve"] = curve(0)[[0, 0, 1]]
    judged = claims(figures | {"chosen_skipped": 0.4}, curves, rows, 500, True)
    wrong = [claim.id for claim in judged if claim.holds is False]
    assert wrong == ["trained-gain", "trained-gain-least", "skipped"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"thresholds": ()}, "thresholds are"),
        (
            {"thresholds": (0.5, 1.0)},
            r"one of thresholds is 1\.0",
        ),
        ({"entropy_weights": (0.0, 0.3)}, r"expected less than 0\.3, at which .* to cross 0\.97"),
        ({"entropy_weights": (-0.1,)}, "one of entropy_weights is -0.1"),
        ({"dropout": 1.0}, r"dropout is 1\.0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"core": "convolutional", "hidden_size": 1}, "hidden_size is 1; expected 2 or more"),
        ({"objectives": ("last",)}, "objectives"),
        ({"objectives": ("cost", "cost")}, "objectives are .*; expected each once"),
        ({"thresholds": (0.9, 0.9001)}, r"thresholds \(0\.9, 0\.9001\).*rounded to thousandths"),
        ({"entropy_weights": (0.1, 0.1002)}, "entropy_weights .*rounded to thousandths"),
        ({"split": "speaker"}, "which is by speaker"),
        ({"trained": "runs/x"}, "expected a file to listen to"),
    ],
)
def test_bad_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        RankSpeechConfig(**settings)


def test_settings_survive_json_and_name_their_networks() -> None:
    config = RankSpeechConfig()
    assert RankSpeechConfig(**json.loads(json.dumps(asdict(config)))) == config
    assert len(config.models()) == 14 and rank_name(0.999, 0.0) == "rank-999-0"
    assert len(set(config.models())) == 14


def test_splits_by_speaker_turn_with_the_seed(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    result = measure(replace(SMALL, split="speaker"), context(tmp_path / "run"))
    assert result["data"]["source"].endswith("tested on ann, validated on bob")

"""A trained network listens to a recording as it arrives, until it knows the word."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from plastorch.data.audio.frames import Scale
from plastorch.data.audio.logmel import FrameStream, LogMel
from plastorch.data.audio.wav import HIGHEST_HZ, LOWEST_HZ, Recording, resampled
from plastorch.engine.checkpoint import load_checkpoint, load_tensors, restore, under
from plastorch.engine.errors import InputError
from plastorch.experiments.rank.speech_networks import RankSpeechConfig, rank_name
from plastorch.rank import Answer, RankCoder
from plastorch.rank.criterion import probabilities

NAME, ARRAYS = "rank-speech", "arrays.safetensors"
PART_S = 0.05
"""Length of the parts in which a recording arrives, seconds."""


class Ear(NamedTuple):
    """A trained network and the preprocessing that it needs."""

    net: RankCoder
    """Network that its run chose."""
    front: LogMel
    """Transform to the frames that it was trained on."""
    scale: Scale
    """Scale to standard units."""
    words: tuple[str, ...]
    """Words by class."""


class Heard(NamedTuple):
    """Answer of a network to a recording."""

    word: str
    answer: Answer
    """Class, probability and frame of the word."""
    end_s: float
    """End of that frame, from the recording's beginning, seconds."""

    def __str__(self) -> str:
        when = f"after {1000 * self.end_s:.0f} ms"
        known = when if self.answer.crossed else f"{when}, at the end and not for sure"
        return f"“{self.word}”, {known} (probability {self.answer.probability:.2f})"


def hear(ear: Ear, recording: Recording) -> Heard:
    """Listens to a recording of any sample rate until there is an answer, and ignores the rest."""
    samples = resampled(recording, ear.front.rate).samples
    if len(samples) < ear.front.window:
        raise InputError(
            f"the recording has {len(samples)} samples; expected {ear.front.window} or more"
        )
    frames, stream = FrameStream(ear.front), ear.net.eval().stream()
    size = round(PART_S * ear.front.rate)
    for first in range(0, len(samples), size):
        come = frames.feed(samples[first : first + size])
        if len(come) and stream.feed((come - ear.scale.mean) / ear.scale.deviation) is not None:
            break
    answer = stream.finish()
    return Heard(ear.words[answer.label], answer, ear.front.end_s(answer.step))


@torch.no_grad()
def course(ear: Ear, recording: Recording) -> tuple[Tensor, Tensor]:
    """Returns all frames [T, bands], in standard units, and probabilities [T, words]."""
    samples = resampled(recording, ear.front.rate).samples
    bands = (ear.front(samples) - ear.scale.mean) / ear.scale.deviation
    return bands, probabilities(ear.net.eval().all_steps(bands[:, None])[:, 0])


def newest_trained(run: Path, quick: bool) -> Path | None:
    """Returns the newest complete run beside this one whose networks can listen.

    If ``quick``, a smoke run is enough.
    """
    found = [path for path in run.parent.glob("*/result.json") if path.parent != run]
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        result = _result(path.parent)
        if result is not None and result.get("complete") and (quick or not result.get("quick")):
            return path.parent
    return None


def load_ear(run: Path) -> Ear:
    """Returns the network that a complete run of rank-speech chose, with its weights."""
    whole = _result(run)
    if whole is None:
        raise InputError(f"trained is {str(run)!r}; expected the folder of a whole run of {NAME}")
    checkpoint, arrays = load_checkpoint(run / "checkpoint"), load_tensors(run / ARRAYS)
    if checkpoint is None:
        raise InputError(f"{run} has no checkpoint; expected one of trained networks")
    try:
        return _ear(run, whole, checkpoint[0], arrays)
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InputError(f"{run} is damaged: {type(error).__name__} {error}") from None


def _ear(
    run: Path, whole: dict[str, Any], trained: dict[str, Tensor], arrays: dict[str, Tensor]
) -> Ear:
    settings, metrics, data = whole["config"], whole["metrics"], whole["data"]
    words, rate = tuple(map(str, data["classes"])), data["rate"]
    if type(rate) is not int or not LOWEST_HZ <= rate <= HIGHEST_HZ:
        raise InputError(f"{run}: rate is {rate!r}; expected {LOWEST_HZ} to {HIGHEST_HZ} Hz")
    config = RankSpeechConfig(**{f.name: settings[f.name] for f in fields(RankSpeechConfig)})
    name = rank_name(metrics["chosen_threshold"], metrics["chosen_entropy_weight"])
    front, weights = LogMel(rate), under(trained, f"model.{name}.")
    with torch.device("meta"):
        shapes = config.network(config.models()[name], front.bands, len(words)).state_dict()
    if any(weights[key].shape != shapes[key].shape for key in shapes):
        raise InputError(f"{run}: its weights are not those of its settings")
    net = config.network(config.models()[name], front.bands, len(words))
    restore(net, weights, run / "checkpoint")
    scale = Scale(arrays["scale.mean"], arrays["scale.deviation"])
    if any(part.shape != (front.bands,) or not part.isfinite().all() for part in scale):
        raise InputError(f"{run / ARRAYS}: scale doesn't fit; expected {front.bands} bands")
    return Ear(net, front, scale, words)


def _result(run: Path) -> dict[str, Any] | None:
    """Returns ``result.json`` of a run of trained networks, or None of any other folder."""
    try:
        result: dict[str, Any] = json.loads((run / "result.json").read_text())
        trained = result["experiment"] == NAME and "chosen_threshold" in result["metrics"]
        return result if trained else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None

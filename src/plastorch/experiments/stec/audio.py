"""Self-supervision with and without efference copies on spoken words.

Paper: Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022. It
doesn't say which sounds it learned from, nor how they were changed; views and settings are ours.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from plastorch.data.audio.logmel import LogMel
from plastorch.data.audio.recordings import PARTS, Part, SpeechSet, load_speech
from plastorch.data.audio.wav import read_wav
from plastorch.efference import AUDIO, AudioViews, Kind, Sources, estimate_bins
from plastorch.efference.audio_views import QUIET
from plastorch.efference.probes import Exam
from plastorch.efference.streams import Stream
from plastorch.engine.errors import InputError, check_names
from plastorch.engine.streams import stream
from plastorch.experiments.context import Context
from plastorch.experiments.preset_defaults import Count, Positive, Range, Size, Weight
from plastorch.experiments.stec.config import Crop, StecConfig, WarmUp
from plastorch.experiments.stec.study import Study, other_copies
from plastorch.experiments.stec.train import run_study

DATASETS = ("speech-commands", "fsdd")
RATE, SECONDS, BANDS = 8000, 1.0, 40
"""Sample rate, length in seconds, and number of mel bands of all recordings."""
FRAMES = 98
"""Number of frames of a clip."""
QUICK = (300, 100, 100)
"""Numbers of words of a smoke run for training, validation and test."""


@dataclass(frozen=True)
class StecAudioConfig(StecConfig):
    """Settings of stec-audio.

    Args:
        datasets: data sets of spoken words, speech-commands and fsdd; all are used in pre-training,
            and encoders are tested on each.
        least_length: minimum length of a crop, as a share of the clip.
        shift: maximum shift of pitch, mel bands.
        copy: kind of efference copies: all transforms of a view except masks.
        factor_weights: weights of start, length, pitch, gain and noise. Features that encode the
            loudness and noise of a clip were worse at telling words apart.
    """

    copies: ClassVar[tuple[Kind, ...]] = ("audio",)
    numbers: ClassVar[Mapping[str, Kind]] = {"augself": "audio", "equimod": "audio"}
    datasets: tuple[str, ...] = DATASETS
    least_length: Crop = AUDIO.length[0]
    shift: Annotated[int, Range(0, BANDS)] = AUDIO.shift
    copy: Kind = "audio"
    manipulation: Positive = 0.3
    factor_weights: tuple[Weight, ...] = (1.0, 1.0, 1.0, 0.0, 0.0)
    epochs: Count = 60
    batch_size: Size = 128
    warm_up: WarmUp = 5.0
    transfer: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("datasets", self.datasets, DATASETS)
        if self.transfer:
            raise InputError("transfer is True; expected False: sounds have no place in images")
        if "essl" in self.roles:
            raise InputError("roles hold essl; expected others: sounds can't be rotated")
        self.check_batch(BANDS * FRAMES)

    @property
    def tested(self) -> Part:
        """Part of the recordings that encoders are tested on."""
        return "validation" if self.held_out else "test"

    def views(self) -> AudioViews:
        """Returns the augmentation of clips."""
        return replace(AUDIO, length=(self.least_length, 1.0), shift=self.shift)


def measure(config: StecAudioConfig, context: Context) -> dict[str, Any]:
    """Trains all arms, and measures their encoders; see :func:`run_study`."""
    sets = {name: load_speech(name, context.data) for name in config.datasets}
    if context.quick:
        sets = {name: speech.few(*QUICK, context.seed) for name, speech in sets.items()}
        width = min(config.width, 8) if config.encoder == "small" else config.width
        few: dict[str, Any] = {"epochs": 3, "warm_up": 0.5, "batch_size": 50, "width": width}
        config = replace(config, seeds=1, **few)
        context.tell(f"smoke run on {sum(len(of.rows('train')) for of in sets.values())} words")
    return run_study(config, audio_study(config, sets, context), context, _described(sets, config))


def audio_study(config: StecAudioConfig, sets: dict[str, SpeechSet], context: Context) -> Study:
    """Returns the study of the training parts of all sets; each set has words of its own."""
    exams: dict[str, Exam] = {}
    parts: tuple[Part, Part] = ("train", config.tested)
    classes = 0
    for name, speech in sets.items():
        train, test = (speech.rows(part) for part in parts)
        clips, labels = read_clips(speech.files), speech.labels + classes
        exam = Exam(clips[train], labels[train], clips[test], labels[test])
        exams[name.replace("-", "_")] = Exam(*(part.to(context.device) for part in exam))
        classes += len(speech.words)
    views = config.views()
    return Study(
        sources=Sources(
            torch.cat([exam.images for exam in exams.values()]),
            torch.cat([exam.labels for exam in exams.values()]),
        ),
        exams=exams,
        classes=classes,
        views=views,
        prepare=standardized,
        bins=estimate_bins(views, config.copy, stream(context.seed, Stream.BINS)),
        others=other_copies(config, views, context.seed),
        bfloat16=config.bfloat16,
        new_encoder=partial(config.new_encoder, "cifar", 1, 4),
    )


def read_clips(files: Sequence[Path]) -> Tensor:
    """Returns logarithms of band energies of WAV files' middle seconds [N, bands, frames].

    Shorter recordings are padded with silence.
    """
    size = round(RATE * SECONDS)
    clips = torch.stack([_centered(read_wav(path, RATE).samples, size) for path in files])
    return LogMel(RATE, BANDS)(clips).transpose(1, 2).contiguous()


def _centered(samples: Tensor, size: int) -> Tensor:
    """Returns the middle of a recording [n], or all of it padded with silence, as [size]."""
    missing = size - len(samples)
    first = int(missing / 2)  # negative padding cuts off
    return torch.nn.functional.pad(samples, (first, missing - first))


def standardized(clips: Tensor) -> Tensor:
    """Returns whole clips [B, bands, frames] standardized for encoders [B, 1, bands, frames]."""
    deviation, mean = torch.std_mean(clips, dim=(1, 2), correction=0, keepdim=True)
    return ((clips - mean) / deviation.clamp(min=QUIET))[:, None]


def _described(sets: Mapping[str, SpeechSet], config: StecAudioConfig) -> dict[str, Any]:
    """Returns a description of the data; ``n_test`` counts what encoders are tested on."""
    digest = hashlib.sha256("".join(speech.sha256() for speech in sets.values()).encode())
    counts = {
        f"n_{part}": sum(speech.parts.count(part) for speech in sets.values()) for part in PARTS
    }
    return {
        "name": " and ".join(speech.name for speech in sets.values()),
        **counts,
        "n_test": counts[f"n_{config.tested}"],
        "source": "; ".join(speech.source for speech in sets.values()),
        "sha256": digest.hexdigest(),
        "classes": [word for speech in sets.values() for word in speech.words],
    }

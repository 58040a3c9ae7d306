"""Rank coding of spoken words: how early a network knows the word, and how well.

Paper: Jeffares, Guo, Stenetorp, Moraitis, *Spike-inspired Rank Coding for Fast and Accurate
Recurrent Neural Networks*, ICLR 2022.
"""

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from plastorch.data.audio.frames import Frames
from plastorch.data.audio.logmel import LogMel
from plastorch.data.audio.recordings import SpeechSet, load_speech
from plastorch.data.audio.wav import read_wav
from plastorch.engine.distributed import check_parts
from plastorch.engine.loop import Loop
from plastorch.experiments.context import Context
from plastorch.experiments.models import seeded
from plastorch.experiments.rank.listen import course, hear, load_ear, newest_trained
from plastorch.experiments.rank.reading import thresholds_with, validation
from plastorch.experiments.rank.speech_claims import claims
from plastorch.experiments.rank.speech_data import Words, batches, read_words
from plastorch.experiments.rank.speech_figures import Reading, chosen, measured_words
from plastorch.experiments.rank.speech_networks import RankSpeechConfig, WordNetwork
from plastorch.experiments.rank.streams import SpeechStream
from plastorch.experiments.rank.work import work
from plastorch.rank import Batch, RankCoder, RankSettings, RankTraining, evaluate
from plastorch.rank.criterion import probabilities

MAX_NORM = 1.0
"""Maximum norm of the gradient."""
QUICK = (300, 100, 100)
"""Numbers of words of a smoke run for training, validation and test."""
RECORDS = 10
"""Number of records of a training, each of the same number of batches."""


def measure(config: RankSpeechConfig, context: Context) -> dict[str, Any]:
    """Trains networks and reads them, or listens to a recording; returns ``result.json``."""
    if config.listen is None:
        return _train(config, context)
    read_wav(config.listen)  # report a file that is not a recording before training
    trained = config.trained or newest_trained(context.run.path, context.quick)
    if trained is not None:
        return _listen(config, context, Path(trained))
    context.tell("there is no trained network: one is trained first, then it listens")
    finished = _train(config, context)
    context.tell(str(hear(load_ear(context.run.path), read_wav(config.listen))))
    return finished


def _train(config: RankSpeechConfig, context: Context) -> dict[str, Any]:
    speech = load_speech(config.dataset, context.data)
    speech = speech.by_speaker(context.seed) if config.split == "speaker" else speech
    if speech.notice:
        context.tell(speech.notice)
    if context.quick:
        speech = speech.few(*QUICK, context.seed)
        few: dict[str, Any] = {"thresholds": (0.7,), "entropy_weights": (0.0,), "epochs": 8}
        if config.core == "convolutional":
            few |= {"hidden_size": min(config.hidden_size, 16), "epochs": 4}
        config = replace(config, **few)
        size, count = len(speech.rows("train")), len(config.models())
        context.tell(f"smoke run on {size} training words, of {count} networks")
    check_parts(batch_size=min(config.batch_size, len(speech.rows("train"))))
    front = LogMel(read_wav(speech.files[0]).rate)
    started = context.start(config, _data(speech, front))
    words, scale = read_words(speech, front)
    models, nets = config.models(), nn.ModuleDict()
    for name, model in models.items():
        make = partial(config.network, model, front.bands, len(speech.words))
        nets[name] = seeded(make, context.seed, SpeechStream.WEIGHTS)
    loop = Loop(context.run, nets.to(context.device))
    readings: dict[str, Reading] = {}
    for name, model in models.items():
        net = nets[name]
        assert isinstance(net, RankCoder)
        loop.run(_phase(net, model, config, context, words))
        thetas = thresholds_with(*config.thresholds, model.threshold)
        held_out, test = (
            evaluate(net, batches(part, context.device), thetas) for part in words[1:]
        )
        readings[name] = Reading(held_out, test, model.threshold, model.entropy_weight)
    found = measured_words(readings, words.test, front)
    best = nets[chosen(readings)]
    assert isinstance(best, RankCoder)
    metrics = found.metrics | work("chosen", best, batches(words.test, context.device))
    scales = {"scale.mean": scale.mean, "scale.deviation": scale.deviation}
    context.run.write_arrays(found.arrays | scales | _example(best.cpu(), words.test))
    free = ("dataset", "split", "core", "objectives", "varied", "listen")
    usual = RankSpeechConfig(**{name: getattr(config, name) for name in free})
    ordinary = config == usual and not context.quick
    records, tested = context.run.records(), len(words.test.labels)
    known = claims(metrics, found.arrays, records, tested, ordinary)
    return context.finish(started, loop, metrics, known)


def _phase(
    net: RankCoder, model: WordNetwork, config: RankSpeechConfig, context: Context, words: Words
) -> RankTraining:
    """Returns the training of a network, on batches that are the same for all networks."""
    order = words.order(min(config.batch_size, len(words.train.labels)), context.seed)
    updates = config.epochs * order.per_epoch

    def batch(number: int) -> Batch:
        return words.training_batch(order, number, config.varied).to(context.device)

    training = RankSettings(
        updates,
        model.objective,
        max(1, updates // RECORDS),
        config.learning_rate,
        cosine=True,
        max_norm=MAX_NORM,
    )
    return RankTraining(
        model.name,
        net,
        batch,
        training,
        path=(context.seed, SpeechStream.DROPOUT),
        validate=validation(batches(words.validation, context.device)),
    )


@torch.no_grad()
def _example(net: RankCoder, test: Frames) -> dict[str, Tensor]:
    """Returns a test word that is answered right, at about the median time."""
    (batch,) = batches(test, torch.device("cpu"), len(test.labels))
    decision = net.eval()(batch.x, batch.lengths)
    right = decision.crossed & (decision.label == test.labels)
    rows = right.nonzero()[:, 0] if bool(right.any()) else torch.arange(len(test.labels))
    row = int(rows[decision.step[rows].argsort()[len(rows) // 2]])
    bands = test.bands[row, : int(test.lengths[row])]
    chances = probabilities(net.all_steps(bands[:, None])[:, 0])
    return _word(bands, chances, int(decision.step[row]), int(decision.label[row]))


def _word(bands: Tensor, chances: Tensor, step: int, label: int) -> dict[str, Tensor]:
    answer = torch.tensor([step, label])
    return {"word.bands": bands, "word.probabilities": chances, "word.answer": answer}


def _listen(config: RankSpeechConfig, context: Context, trained: Path) -> dict[str, Any]:
    """Listens to the recording; the result and the figure are about it alone."""
    assert config.listen is not None
    ear, recording = load_ear(trained), read_wav(config.listen)
    context.tell(f"listening with the network of {trained}")
    heard = hear(ear, recording)
    context.tell(str(heard))
    context.run.write_arrays(_word(*course(ear, recording), heard.answer.step, heard.answer.label))
    data = {
        "name": Path(config.listen).name,
        "n_test": 1,
        "source": f"a recording; the network is of the run {trained.name}",
        "sha256": hashlib.sha256(Path(config.listen).read_bytes()).hexdigest(),
        "classes": list(ear.words),
    }
    metrics = {"answer_ms": 1000 * heard.end_s, "probability": heard.answer.probability}
    started = context.start(config, data | _frames(ear.front))
    return context.finish(started, Loop(context.run, nn.ModuleDict()), metrics, [])


def _data(speech: SpeechSet, front: LogMel) -> dict[str, Any]:
    return {
        "name": f"{speech.name}, {len(speech.words)} words",
        "n_train": len(speech.rows("train")),
        "n_validation": len(speech.rows("validation")),
        "n_test": len(speech.rows("test")),
        "source": speech.source,
        "sha256": speech.sha256(),
        "classes": list(speech.words),
        "notice": speech.notice,
    } | _frames(front)


def _frames(front: LogMel) -> dict[str, Any]:
    """Returns the sample rate, and the times of the first frame and between frames in ms."""
    return {
        "rate": front.rate,
        "frame_ms": [1000 * front.end_s(0), 1000 * front.hop / front.rate],
    }

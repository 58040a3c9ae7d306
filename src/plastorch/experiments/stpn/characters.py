"""Characters of source code, predicted one by one by stacks of memories of equal parameters.

Units: Garcia Rodriguez, Guo, Moraitis, *Short-Term Plasticity Neurons Learning to Learn and
Forget*, ICML 2022. Characters that a text repeats tell most about a memory: Arora et al.,
*Zoology*, ICLR 2024, arXiv 2312.04927.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import log
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.data.tasks.recall import Recall
from plastorch.data.text import SYMBOLS, Text, library_source, new_repeats, windows
from plastorch.engine.checkpoint import fingerprint
from plastorch.engine.device import check_memory
from plastorch.engine.errors import InputError, check_names
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Claim, Record
from plastorch.engine.streams import stream
from plastorch.experiments.claims import asserted, at_most, below
from plastorch.experiments.context import Context
from plastorch.experiments.models import compare, extreme, networks
from plastorch.experiments.preset_defaults import Count, Range, Rate, Settings, Size
from plastorch.experiments.stpn.mqar_models import ALL, block_parameters, nearest, state_size
from plastorch.experiments.stpn.streams import TextStream
from plastorch.experiments.stpn.tuning import Trial, best, shown, tried, with_copies
from plastorch.stp.recall import RecallNet, RecallTraining, recall_accuracy

CONTEXT = "context-"
"""Prefix of the phases that test a model, by how much of a window it has read."""
SPANS = 16
"""Number of spans of a window whose characters are tested apart."""
VALIDATED = 128
"""Number of windows on which rates are chosen."""
GATED = ("lstm", "gru")
"""Models that STPN is compared with in the claims."""


@dataclass(frozen=True)
class CharactersConfig(Settings):
    """Settings of stpn-characters; the defaults are for two cores.

    Args:
        models: models that learn, one after the other.
        parameters: approximate number of trained parameters of each residual block.
        layers: number of residual blocks, one on top of the other.
        width: size of the embedding.
        steps: number of characters in a window; nothing is remembered from window to window.
        updates: number of updates of each model.
        batch_size: windows per update.
        learning_rates: rates of which each model takes the one that is best on validation text.
        tuning_updates: number of updates with each of these rates; training then starts again from
            the initial weights.
    """

    models: tuple[str, ...] = (
        "stpn",
        "stpn-recurrent",
        *GATED,
        "attention",
        "linear-attention",
        "delta-net",
    )
    parameters: Annotated[int, Range(1000, 10**8)] = 50_000
    layers: Annotated[int, Range(1, 100)] = 2
    width: Size = 64
    steps: Annotated[int, Range(SPANS, 10**6)] = 128
    updates: Count = 3000
    batch_size: Size = 32
    learning_rates: tuple[Rate, ...] = (0.001, 0.003, 0.01)
    tuning_updates: Count = 300

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("models", self.models, ALL)
        rates = self.learning_rates
        if not rates or len(set(rates)) < len(rates):
            raise InputError(f"learning_rates are {rates}; expected one or more, each once")
        check_memory(16 * self.batch_size * self.steps * self.width, batch_size=self.batch_size)

    def units(self, name: str) -> int:
        """Returns the number of units at which a model's block has as many parameters."""
        return nearest(lambda width: block_parameters(name, self.width, width), self.parameters)

    def network(self, name: str) -> RecallNet:
        """Returns a new network by the name of its model."""
        cores = [ALL[name](self.width, self.units(name)) for _ in range(self.layers)]
        return RecallNet(cores, SYMBOLS, self.width)


def measure(config: CharactersConfig, context: Context) -> dict[str, Any]:
    """Trains the models one after the other, then tests them; returns ``result.json``."""
    text = library_source()
    if context.quick:
        batch_size = min(8, config.batch_size)
        config = replace(config, updates=10, tuning_updates=5, batch_size=batch_size)
        few = 20 * config.steps + 1
        text = text._replace(validation=text.validation[:few], test=text.test[:few])
        context.tell("smoke run of 10 small updates, tested on 20 windows")
    test = Recall(*(part.to(context.device) for part in windows(text.test, config.steps)))
    repeats = new_repeats(test.sequences.cpu(), test.answers.cpu(), text.train)
    validation = _validation(config, context, text)
    nets = networks(config.models, ALL, (context.seed, TextStream.WEIGHTS), config.network)
    both = with_copies(nets, config.learning_rates)
    loop = Loop(context.run, both.to(context.device))
    started = context.start(config, _data(text, test))
    trials: list[Trial] = []

    def training(name: str, rate: float, updates: int) -> RecallTraining:
        net: Any = both[name]
        return RecallTraining(
            name,
            net,
            draw=partial(_new, config, context, text.train),
            validation=validation,
            updates=updates,
            learning_rate=rate,
        )

    def measured(name: str, net: RecallNet) -> dict[str, float]:
        short = partial(training, updates=config.tuning_updates)
        found = tried(name, config.learning_rates, short, loop, place="step")
        rate = best(found).learning_rate
        trials.extend(found)
        loop.run(training(name, rate, config.updates))
        loop.run(Jobs(f"{CONTEXT}{name}", [partial(_test, net, test, repeats)]))
        rows = [row for row in loop.run_folder.records() if row["phase"] == f"{CONTEXT}{name}"]
        return {
            **_bits(rows),
            **_sizes(config, name),
            "learning_rate": rate,
            "validation_accuracy": recall_accuracy(net, validation),
        }

    metrics = compare(nets, measured)
    started["tuning"] = shown(trials)
    return context.finish(started, loop, metrics, claims(config, metrics, context.quick))


def claims(config: CharactersConfig, metrics: Mapping[str, float], quick: bool) -> list[Claim]:
    """Returns the claims that the trained models can test."""
    if "stpn" not in config.models:
        return []
    return asserted(_claims(config, metrics), _is_evidence(config) and not quick)


def _is_evidence(config: CharactersConfig) -> bool:
    """Whether models learn as by default, or longer; those of other sizes decide nothing."""
    usual = CharactersConfig()
    same = replace(config, models=usual.models, updates=usual.updates)
    return same == usual and config.updates >= usual.updates


def _claims(config: CharactersConfig, metrics: Mapping[str, float]) -> Iterator[Claim]:
    if gated := [name for name in GATED if name in config.models]:
        least, target = extreme(metrics, gated, "bits_of_repeats", min)
        yield below(
            "repeats",
            "STPN needs fewer bits than LSTM and GRU of as many parameters for what only the "
            f"window tells; the next is {least}",
            metrics["stpn_bits_of_repeats"],
            target,
        )
        least, target = extreme(metrics, gated, "bits", min)
        yield at_most(
            "characters",
            "STPN needs no more bits per character than LSTM and GRU of as many parameters; the "
            f"next is {least}",
            metrics["stpn_bits"],
            target,
        )
    if "delta-net" in config.models:
        yield at_most(
            "repeats-of-delta-net",
            "STPN needs no more bits than DeltaNet of as many parameters for what only the window "
            "tells",
            metrics["stpn_bits_of_repeats"],
            metrics["delta_net_bits_of_repeats"],
        )


def _new(config: CharactersConfig, context: Context, text: Tensor, update: int) -> Recall:
    """Returns an update's windows, from anywhere in the text."""
    random = stream(context.seed, TextStream.TRAINING, update)
    starts = torch.randint(len(text) - config.steps, (config.batch_size, 1), generator=random)
    both = text[starts + torch.arange(config.steps + 1)].long().to(context.device)
    return Recall(both[:, :-1], both[:, 1:])


def _validation(config: CharactersConfig, context: Context, text: Text) -> Recall:
    """Returns windows at equal distances in the validation text."""
    read, following = windows(text.validation, config.steps)
    chosen = torch.linspace(0, len(read) - 1, min(VALIDATED, len(read))).long()
    return Recall(read[chosen].to(context.device), following[chosen].to(context.device))


@torch.no_grad()
def _test(net: RecallNet, test: Recall, repeats: Tensor) -> list[Record]:
    """Returns the bits per character in each span of the windows, and of its repeats."""
    losses = []
    for read, following in zip(*(torch.split(part, 256) for part in test), strict=True):
        scores, answers = net(read, following)
        loss = F.cross_entropy(scores, answers, reduction="none")
        losses.append(loss.view(read.mT.shape).mT.cpu())
    bits = torch.cat(losses).double() / log(2)
    spans = torch.arange(bits.shape[1]).chunk(SPANS)
    return [_span(span, bits[:, span], repeats[:, span]) for span in spans]


def _span(span: Tensor, bits: Tensor, repeats: Tensor) -> Record:
    """Returns the first place of a span, and the mean bits of all its characters and of repeats."""
    own = bits[repeats]
    record: Record = {"characters": int(span[0]) + 1, "bits": float(bits.mean())}
    record |= {"count": bits.numel(), "repeats": len(own)}
    return record | {"bits_of_repeats": float(own.mean())} if len(own) else record


def _bits(rows: Sequence[Record]) -> dict[str, float]:
    """Returns bits per character, of all and of repeats, from those of the spans."""
    found = {}
    for kind, count in {"bits": "count", "bits_of_repeats": "repeats"}.items():
        of = [(float(row[kind]), int(row[count])) for row in rows if row[count]]
        if of:
            found[kind] = sum(bits * n for bits, n in of) / sum(n for _, n in of)
    return found


def _sizes(config: CharactersConfig, name: str) -> dict[str, float]:
    """Returns numbers of a model's blocks: of units, of all that is carried, of parameters."""
    units = config.units(name)
    return {
        "units": units,
        "state": config.layers * state_size(name, config.width, units, config.steps),
        "parameters": config.layers * block_parameters(name, config.width, units),
    }


def _data(text: Text, test: Recall) -> dict[str, Any]:
    return {
        "name": "source of Python's standard library",
        "n_train": len(text.train),
        "n_validation": len(text.validation),
        "n_test": test.answers.numel(),
        "source": f"{text.files} files of the Python that runs; a tenth of them to test",
        "sha256": fingerprint(text.train, text.validation, text.test),
    }

"""Multi-query associative recall by short-term plasticity neurons and today's sequence models.

Task: Arora et al., *Zoology: Measuring and Improving Recall in Efficient Language Models*, ICLR
2024, arXiv 2312.04927. Units: Garcia Rodriguez, Guo, Moraitis, *Short-Term Plasticity Neurons
Learning to Learn and Forget*, ICML 2022.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

import torch
from torch import nn

from plastorch.data.tasks.recall import Recall, check_recall, recall_set
from plastorch.engine.checkpoint import fingerprint
from plastorch.engine.device import check_memory
from plastorch.engine.errors import InputError, check_names
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Claim, Record
from plastorch.engine.streams import stream
from plastorch.experiments.claims import above, asserted, at_least
from plastorch.experiments.context import Context
from plastorch.experiments.models import compare, extreme, field, networks
from plastorch.experiments.preset_defaults import Count, Range, Rate, Settings, Size
from plastorch.experiments.stpn.mqar_models import (
    GROWS,
    MODELS,
    block_parameters,
    state_size,
    width_of_parameters,
    width_of_state,
)
from plastorch.experiments.stpn.streams import RecallStream
from plastorch.experiments.stpn.tuning import Trial, best, shown, tried, with_copies
from plastorch.stp.recall import RecallNet, RecallTraining, recall_accuracy

JUDGED = 16
"""Number of pairs of the headline and of the claims."""
MARGIN, LEVEL = 0.1, 0.02
"""Lead in accuracy that STPN is to have, and difference that counts as none."""
TESTS, STATES = "recall-", "states-"
"""Prefixes of the phases that test a model: over pairs, and over sizes of its state."""


@dataclass(frozen=True)
class MqarConfig(Settings):
    """Settings of stpn-mqar; the defaults are for two cores.

    Args:
        models: models that learn, one after the other.
        match: quantity in which all models equal STPN: size of the "state" that they carry from
            step to step, or number of trained "parameters".
        state_sizes: sizes of the state that STPN, and with match "state" all models, carry from
            step to step; claims are about the first, at which each model chooses its rate.
        vocabulary: number of symbols, half of them keys and half values.
        steps: number of symbols in a sequence.
        pairs: numbers of key-value pairs in a sequence; updates use them in turn, and models are
            tested on each.
        width: size of the embedding.
        layers: number of memories, one on top of the other, each with the whole state size.
        updates: number of updates of each model.
        batch_size: sequences per update.
        learning_rates: rates of which each model takes the one that is best on validation
            sequences.
        tuning_updates: number of updates with each of these rates; training then starts again from
            the initial weights.
    """

    models: tuple[str, ...] = tuple(MODELS)
    match: Literal["state", "parameters"] = "state"
    state_sizes: tuple[Annotated[int, Range(8, 10**6)], ...] = (256, 128)
    vocabulary: Annotated[int, Range(2, 10**6)] = 128
    steps: Annotated[int, Range(4, 10**6)] = 128
    pairs: tuple[Count, ...] = (4, 8, JUDGED, 32)
    width: Size = 64
    layers: Annotated[int, Range(1, 100)] = 1
    updates: Count = 6000
    batch_size: Size = 32
    learning_rates: tuple[Rate, ...] = (0.001, 0.003, 0.01)
    tuning_updates: Count = 600

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("models", self.models, MODELS)
        for name in ("state_sizes", "pairs", "learning_rates"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise InputError(f"{name} are {values}; expected one or more, each once")
        for pairs in self.pairs:
            check_recall(steps=self.steps, pairs=pairs, vocabulary=self.vocabulary)
        check_memory(16 * self.batch_size * self.steps * self.width, batch_size=self.batch_size)

    @property
    def judged(self) -> int:
        """Returns the number of pairs of the headline."""
        return JUDGED if JUDGED in self.pairs else max(self.pairs)

    def core_width(self, name: str, size: int) -> int:
        """Returns the number of units of a model at a state size."""
        width_of = width_of_state if self.match == "state" else width_of_parameters
        return width_of(name, self.width, size)

    def network(self, name: str) -> RecallNet:
        """Returns a new network by the name of its model and size."""
        model, size = parts(name, self.state_sizes)
        units = self.core_width(model, size)
        cores = [MODELS[model](self.width, units) for _ in range(self.layers)]
        return RecallNet(cores, self.vocabulary, self.width)


def named(model: str, size: int, sizes: tuple[int, ...]) -> str:
    """Returns the name of a network: its model's, at other sizes than the first with the size."""
    return model if size == sizes[0] else f"{model}-s{size}"


def parts(name: str, sizes: tuple[int, ...]) -> tuple[str, int]:
    """Returns the model and the state size of a network's name."""
    model, _, size = name.rpartition("-s")
    return (model, int(size)) if size.isdecimal() else (name, sizes[0])


def measure(config: MqarConfig, context: Context) -> dict[str, Any]:
    """Trains the models one after the other, then tests them; returns ``result.json``."""
    tested = 20 if context.quick else 1000
    if context.quick:
        config = replace(config, updates=10, tuning_updates=5, state_sizes=config.state_sizes[:1])
        context.tell("smoke run of 10 updates")
    draw = partial(_drawn, config, context)
    tests = {pairs: draw(tested, pairs, RecallStream.TEST, pairs) for pairs in sorted(config.pairs)}
    validation = joined(
        draw(max(1, tested // 16), pairs, RecallStream.VALIDATION, pairs) for pairs in tests
    )
    sizes = config.state_sizes
    known = [named(model, size, sizes) for size in sizes for model in MODELS]
    chosen = {named(model, size, sizes) for size in sizes for model in config.models}
    models = networks(chosen, known, (context.seed, RecallStream.WEIGHTS), config.network)
    tuned = nn.ModuleDict({name: net for name, net in models.items() if name in config.models})
    nets = nn.ModuleDict({**models, **with_copies(tuned, config.learning_rates)})
    loop = Loop(context.run, nets.to(context.device))
    started = context.start(config, _data(config, tests))
    trials: dict[str, list[Trial]] = {}

    def training(name: str, rate: float, updates: int) -> RecallTraining:
        net: Any = nets[name]
        new = partial(_new, config, draw)
        return RecallTraining(
            name, net, draw=new, validation=validation, updates=updates, learning_rate=rate
        )

    def measured(name: str, net: RecallNet) -> dict[str, float]:
        model, size = parts(name, sizes)
        short = partial(training, updates=config.tuning_updates)
        if name == model:
            trials[name] = tried(name, config.learning_rates, short, loop, place="step")
        rate = best(trials[model]).learning_rate
        loop.run(training(name, rate, config.updates))
        jobs = [partial(_test, net, pairs, recall) for pairs, recall in tests.items()]
        loop.run(Jobs(f"{TESTS}{name}", jobs))
        rows = [row for row in loop.run_folder.records() if row["phase"] == f"{TESTS}{name}"]
        return {
            **_accuracies(config, rows),
            **_sizes(config, model, size),
            "learning_rate": rate,
            "validation_accuracy": recall_accuracy(net, validation),
        }

    metrics = compare(models, measured)
    for model in (model for model in config.models if model != GROWS):
        loop.run(Jobs(f"{STATES}{model}", [partial(_states, config, metrics, model)]))
    started["tuning"] = shown([trial for found in trials.values() for trial in found])
    head = {"test_accuracy": metrics[field(next(iter(models)), "accuracy")]}
    return context.finish(started, loop, head | metrics, claims(config, metrics, context.quick))


def claims(config: MqarConfig, metrics: Mapping[str, float], quick: bool) -> list[Claim]:
    """Returns the claims that the trained models can test."""
    if "stpn" not in config.models:
        return []
    return asserted(_claims(config, metrics), _is_evidence(config) and not quick)


def _is_evidence(config: MqarConfig) -> bool:
    """Whether models learn as by default, or longer; those of other sizes decide nothing."""
    usual = MqarConfig()
    same = replace(
        config, models=usual.models, state_sizes=usual.state_sizes, updates=usual.updates
    )
    longer = config.updates >= usual.updates
    return same == usual and longer and config.state_sizes[0] == usual.state_sizes[0]


def _claims(config: MqarConfig, metrics: Mapping[str, float]) -> Iterator[Claim]:
    stpn = metrics["stpn_accuracy"]
    matched = "as large a state" if config.match == "state" else "as many parameters"
    for model, article in (("lstm", "an LSTM"), ("linear-attention", "linear attention")):
        if model in config.models:
            target = metrics[field(model, "accuracy")] + MARGIN
            statement = f"STPN is 10 points or more above {article} with {matched}"
            yield at_least(f"above-{model}", statement, stpn, target)
    if "delta-net" in config.models:
        statement = f"STPN is level with DeltaNet with {matched}, or at most 2 points below"
        target = metrics["delta_net_accuracy"]
        yield at_least("level-with-delta-net", statement, stpn, target, tolerance=LEVEL)
    if simpler := [name for name in ("stpn-factored", "stpn-scalar") if name in config.models]:
        most, target = extreme(metrics, simpler, "accuracy")
        statement = (
            "STPN recalls more with constants of each synapse than with shared ones; the next is "
            f"{most}"
        )
        yield above("constants-of-synapses", statement, stpn, target)


def joined(sets: Iterable[Recall]) -> Recall:
    """Returns the sequences of several sets, one set after the other."""
    return Recall(*(torch.cat(tensors) for tensors in zip(*sets, strict=True)))


def _drawn(config: MqarConfig, context: Context, samples: int, pairs: int, *path: int) -> Recall:
    """Returns sequences; equal paths give equal ones."""
    random = stream(context.seed, *path)
    recall = recall_set(
        samples, random, steps=config.steps, pairs=pairs, vocabulary=config.vocabulary
    )
    return Recall(*(tensor.to(context.device) for tensor in recall))


def _new(config: MqarConfig, draw: Callable[..., Recall], update: int) -> Recall:
    """Returns an update's sequences."""
    pairs = config.pairs[update % len(config.pairs)]
    return draw(config.batch_size, pairs, RecallStream.TRAINING, update)


def _test(net: RecallNet, pairs: int, recall: Recall) -> list[Record]:
    return [{"pairs": pairs, "accuracy": recall_accuracy(net, recall)}]


def _accuracies(config: MqarConfig, rows: Iterable[Record]) -> dict[str, float]:
    """Returns a network's accuracies of the tests in its log."""
    of = {int(row["pairs"]): float(row["accuracy"]) for row in rows}
    each = {f"accuracy_{pairs}_pairs": accuracy for pairs, accuracy in of.items()}
    return {"accuracy": of[config.judged], **each}


def _sizes(config: MqarConfig, model: str, size: int) -> dict[str, float]:
    """Returns numbers of a model's blocks: of units, of all that is carried, of parameters."""
    inputs, units = config.width, config.core_width(model, size)
    return {
        "units": units,
        "state": config.layers * state_size(model, inputs, units, config.steps),
        "parameters": config.layers * block_parameters(model, inputs, units),
    }


def _states(config: MqarConfig, metrics: Mapping[str, float], model: str) -> list[Record]:
    """Returns the accuracy at each size of a model's state."""
    names = [named(model, size, config.state_sizes) for size in sorted(config.state_sizes)]
    return [{kind: metrics[field(name, kind)] for kind in ("state", "accuracy")} for name in names]


def _data(config: MqarConfig, tests: Mapping[int, Recall]) -> dict[str, Any]:
    return {
        "name": "multi-query associative recall",
        "n_train": config.updates * config.batch_size,
        "n_test": sum(len(recall.sequences) for recall in tests.values()),
        "source": "generated as zoology defines it, but no key of a sequence comes by chance",
        "sha256": fingerprint(*(tensor for recall in tests.values() for tensor in recall)),
    }

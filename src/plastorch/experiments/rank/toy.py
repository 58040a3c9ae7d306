"""Rank coding on two toy tasks in which the best time to answer is known.

Paper: Jeffares, Guo, Stenetorp, Moraitis, *Spike-inspired Rank Coding for Fast and Accurate
Recurrent Neural Networks*, ICLR 2022.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, NamedTuple, Self

from torch import nn

from plastorch.data.tasks.evidence import RUN_STEPS, Runs, Signals, noisy_signals, runs_of_bits
from plastorch.engine.checkpoint import fingerprint
from plastorch.engine.device import check_memory
from plastorch.engine.distributed import check_parts
from plastorch.engine.errors import check_names
from plastorch.engine.loop import Loop
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.experiments.context import Context
from plastorch.experiments.models import field, networks
from plastorch.experiments.preset_defaults import Count, Range, Rate, Settings, Size
from plastorch.experiments.rank.reading import Measured, thresholds_with
from plastorch.experiments.rank.streams import ToyStream
from plastorch.experiments.rank.toy_claims import claims
from plastorch.experiments.rank.toy_figures import (
    PART,
    THRESHOLDS,
    beyond_observers,
    measured_observers,
    measured_runs,
    measured_signals,
    timing_loss,
)
from plastorch.rank import Batch, RankCoder, RankSettings, RankTraining, Readings, evaluate
from plastorch.rank.evaluate import multiply_accumulates
from plastorch.rank.objectives import Objective
from plastorch.stp import STPN

EVERY = 125
"""Number of batches per record and validation."""
SIZES = {"validation": 2000, "signal": 100_000, "runs": 10_000, "rule": 50_000}
"""Numbers of sequences to validate with, to test with, and to find the best stopping rules from."""
QUICK_BATCHES = 80
QUICK = {"validation": 100, "signal": 500, "runs": 500, "rule": 500}


class ToyNetwork(NamedTuple):
    """A network of the comparison."""

    objective: Objective
    """Trained outputs."""
    entropy_weight: float = 0.0
    """Weight β of the entropy."""
    core: type[nn.Module] = nn.LSTM
    """Recurrent part."""


MODELS = {
    "signal-last": ToyNetwork("last"),
    "signal-all": ToyNetwork("all"),
    "signal-rank": ToyNetwork("first"),
    "signal-beta10": ToyNetwork("first", 0.1),
    "signal-beta30": ToyNetwork("first", 0.3),
    "signal-beta40": ToyNetwork("first", 0.4),
    "runs-last": ToyNetwork("last"),
    "runs-all": ToyNetwork("all"),
    "runs-rank": ToyNetwork("first"),
    "runs-stpn": ToyNetwork("first", core=STPN),
}
"""Models by task: is a noisy signal positive, or are five bits in a row equal; β in hundredths."""


@dataclass(frozen=True)
class RankToyConfig(Settings):
    """Settings of rank-toy; the defaults are the paper's, except further models on noisy signals.

    Args:
        models: models that learn, one after the other.
        signal_batches: number of updates on noisy signals.
        runs_batches: number of updates on sequences of bits.
        other_batches: number of updates of networks whose entropy is rewarded, which are compared
            with the first one after the same number, and of the STPN, which needs fewer.
        batch_size: sequences per update, all of them new.
        learning_rate: learning rate of Adam.
        hidden_size: number of neurons of an LSTM.
        stpn_size: number of neurons of an STPN.
        threshold: threshold θ.
    """

    models: tuple[str, ...] = tuple(MODELS)
    signal_batches: Count = 15_625
    runs_batches: Count = 7813
    other_batches: Count = 2500
    batch_size: Size = 128
    learning_rate: Rate = 3e-4
    hidden_size: Size = 125
    stpn_size: Size = 32
    threshold: Annotated[float, Range(0.5, 1, below=True)] = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("models", self.models, MODELS)
        batch, size = self.batch_size, self.hidden_size
        # Weights and Adam's moments; gates and states of all steps, or synaptic states.
        lstm = 4 * size * (4 * 4 * size + 6 * RUN_STEPS * batch)
        check_memory(lstm, hidden_size=size, batch_size=batch)
        stpn = 4 * self.stpn_size**2 * (4 + batch)
        check_memory(stpn, stpn_size=self.stpn_size, batch_size=batch)

    def quick(self) -> Self:
        """Returns settings with which small networks learn to tell noisy signals in seconds."""
        rate = self.learning_rate
        return replace(
            self,
            signal_batches=QUICK_BATCHES,
            other_batches=QUICK_BATCHES,
            runs_batches=QUICK_BATCHES,
            learning_rate=3e-3 if rate == RankToyConfig.learning_rate else rate,
            hidden_size=min(self.hidden_size, 32),
        )

    def network(self, name: str) -> RankCoder:
        """Returns a new model by name."""
        model = MODELS[name]
        size = self.stpn_size if model.core is STPN else self.hidden_size
        readout = nn.Linear(size, 1)
        return RankCoder(
            model.core(1, size),
            readout,
            threshold=self.threshold,
            entropy_weight=model.entropy_weight,
        )

    def training(self, name: str) -> RankSettings:
        """Returns the training of a model."""
        objective, rate = MODELS[name].objective, self.learning_rate
        return RankSettings(self.batches(name), objective, EVERY, rate, best_from=0.9)

    def batches(self, name: str) -> int:
        """Returns the number of updates in the training of a model."""
        model = MODELS[name]
        if model.entropy_weight or model.core is STPN:
            return self.other_batches
        return self.signal_batches if name.startswith("signal") else self.runs_batches


def measure(config: RankToyConfig, context: Context) -> dict[str, Any]:
    """Trains the models, then reads them and the ideal observers; returns ``result.json``."""
    check_parts(batch_size=config.batch_size)
    sizes = SIZES
    if context.quick:
        sizes, config = QUICK, config.quick()
        context.tell(f"smoke run of {QUICK_BATCHES} batches per model, read on 500 sequences")
    signals = noisy_signals(sizes["signal"], stream(context.seed, ToyStream.TEST_SIGNALS))
    runs = runs_of_bits(sizes["runs"], stream(context.seed, ToyStream.TEST_RUNS))
    tests: dict[str, Signals | Runs] = {"signal": signals, "runs": runs}
    started = context.start(config, _data(config, tests))
    nets = networks(config.models, MODELS, (context.seed,), config.network).to(context.device)
    loop = Loop(context.run, nets)
    for name, net in nets.items():
        assert isinstance(net, RankCoder)
        loop.run(_phase(name, net, config, context, sizes["validation"]))
    context.tell("reading answers of networks and of ideal observers")
    rule = noisy_signals(sizes["rule"], stream(context.seed, ToyStream.STOPPING_RULES))
    found = measured_observers(signals, runs, rule, config.threshold)
    for name, net in nets.items():
        assert isinstance(net, RankCoder)
        data = tests[name.split("-")[0]]
        found[name] = _measured(name, net, data, config.threshold, context)
    metrics = {key: value for each in found.values() for key, value in each.metrics.items()}
    metrics |= beyond_observers(found)
    context.run.write_arrays({key: a for each in found.values() for key, a in each.arrays.items()})
    head = {"test_accuracy": metrics[field(_headline(config.models), "accuracy")]}
    ordinary = replace(config, models=tuple(MODELS)) == RankToyConfig() and not context.quick
    known = claims(metrics, context.run.records(), sizes["signal"], ordinary)
    return context.finish(started, loop, head | metrics, known)


def _headline(models: tuple[str, ...]) -> str:
    """Returns the headline model: rank-coded, on noisy signals, if there is one."""
    ranked = [name for name in models if MODELS[name].objective == "first"]
    return "signal-rank" if "signal-rank" in ranked else (ranked or models)[0]


def draw(task: str, count: int, path: tuple[int, ...]) -> Signals | Runs:
    """Draws sequences of a task; path: seed, and name of the stream."""
    make: Callable[..., Signals | Runs] = noisy_signals if task == "signal" else runs_of_bits
    return make(count, stream(*path))


def _phase(
    name: str, coder: RankCoder, config: RankToyConfig, context: Context, count: int
) -> RankTraining:
    """Returns the training of a model; all models of a task learn from the same sequences."""
    task = name.split("-")[0]
    held_out = draw(task, count, (context.seed, ToyStream.VALIDATION))

    def batch(number: int) -> Batch:
        path = context.seed, ToyStream.TRAINING, number
        sequences = draw(task, config.batch_size, path)
        return Batch(sequences.x, sequences.labels).to(context.device)

    def validate(coder: RankCoder) -> Record:
        readings = _readings(coder, held_out, (config.threshold,), context)
        timing = readings.timing(config.threshold)
        found: Record = {
            "validation_accuracy": timing.accuracy,
            "validation_step": timing.mean_step,
            "validation_last_accuracy": float(readings.accuracy_at[-1]),
        }
        if isinstance(held_out, Runs):
            found["validation_timing_loss"] = timing_loss(readings, held_out, config.threshold)
        return found

    # By the paper's timing loss. On signals the paper takes the most accurate of the last
    # networks, which is late by chance; here it is the last one.
    chosen = task == "runs" and MODELS[name].objective == "first"
    return RankTraining(
        name,
        coder,
        batch,
        config.training(name),
        path=(context.seed, ToyStream.DROPOUT),
        validate=validate,
        score=(lambda record: -float(record["validation_timing_loss"])) if chosen else None,
    )


def _readings(
    coder: RankCoder, data: Signals | Runs, thresholds: tuple[float, ...], context: Context
) -> Readings:
    whole = Batch(data.x, data.labels).to(context.device)
    return evaluate(coder, whole.split(PART), thresholds)


def _measured(
    name: str, coder: RankCoder, data: Signals | Runs, threshold: float, context: Context
) -> Measured:
    """Measures a network, and multiply-accumulates of a sequence to its end and to the answer."""
    readings = _readings(coder, data, thresholds_with(threshold, common=THRESHOLDS), context)
    if isinstance(data, Signals):
        metrics, arrays = measured_signals(name, readings, data, threshold)
    else:
        metrics, arrays = measured_runs(name, readings, data, threshold)
    whole = float(multiply_accumulates(coder) * len(data.x))
    used = whole * (1 - metrics[field(name, "skipped")])
    work = {field(name, "macs"): whole, field(name, "macs_to_answer"): round(used)}
    return Measured(metrics | work, arrays)


def _data(config: RankToyConfig, tests: dict[str, Signals | Runs]) -> dict[str, Any]:
    learned = {name.split("-")[0] for name in config.models}
    updates = (
        max(config.batches(name) for name in config.models if name.startswith(task))
        for task in learned
    )
    return {
        "name": "noisy signals and runs of equal bits",
        "n_train": config.batch_size * sum(updates),
        "n_test": sum(len(tests[task].labels) for task in learned),
        "source": "generated as the paper says",
        "sha256": fingerprint(*(tensor for test in tests.values() for tensor in test)),
    }

"""Associative retrieval by short-term plasticity neurons and the models compared with them.

Paper: Garcia Rodriguez, Guo, Moraitis, *Short-Term Plasticity Neurons Learning to Learn and
Forget*, ICML 2022.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

from torch import nn

from plastorch.data.tasks.retrieval import KEYS, SYMBOLS, Retrieval, one_hot, retrieval_sets
from plastorch.engine.checkpoint import fingerprint
from plastorch.engine.device import check_memory
from plastorch.engine.distributed import check_parts
from plastorch.engine.errors import check_names
from plastorch.engine.loop import Loop
from plastorch.engine.run import Claim
from plastorch.experiments.claims import above, asserted, at_least, below
from plastorch.experiments.context import Context
from plastorch.experiments.models import compare, extreme, field, networks
from plastorch.experiments.preset_defaults import Count, Range, Rate, Settings, Size
from plastorch.experiments.stpn.recurrent import RecurrentModel, trained_parameters
from plastorch.experiments.stpn.tuning import Trial, best, shown, tried, with_copies
from plastorch.learning.phases import Schedule
from plastorch.stp import STPN
from plastorch.stp.baselines import LSTM, RNN, FastWeights, HebbFF, ModulatedPlasticity, Squashed
from plastorch.stp.train import AnswerNet, AnswerTraining, answer_accuracy, mean_energy

Variant = Literal["corrected", "faithful"]


def _stpn(size: int, faithful: bool, scalar: bool = False) -> nn.Module:
    presynaptic: Any = "current" if faithful else "previous"
    return STPN(SYMBOLS, size, scalar=scalar, presynaptic=presynaptic)


def _stpnf(size: int, faithful: bool, scalar: bool = False) -> nn.Module:
    """Returns an STPNf; the paper's code has no bias, does not rescale F, and squashes it."""
    if not faithful:
        return STPN(SYMBOLS, size, plasticity="feedforward", scalar=scalar)
    unit = STPN(SYMBOLS, size, plasticity="feedforward", norm="efficacy", scalar=scalar, bias=False)
    return Squashed(unit)


def _hebbff(size: int, faithful: bool) -> nn.Module:
    return Squashed(HebbFF(SYMBOLS, size, faithful=True)) if faithful else HebbFF(SYMBOLS, size)


MODELS = {
    "stpn": RecurrentModel(11, _stpn),
    "stpn-scalar": RecurrentModel(20, lambda size, faithful: _stpn(size, faithful, True)),
    "stpnf": RecurrentModel(13, _stpnf),
    "stpnf-scalar": RecurrentModel(26, lambda size, faithful: _stpnf(size, faithful, True)),
    "hebbff": RecurrentModel(26, _hebbff),
    "rnn": RecurrentModel(20, lambda size, faithful: RNN(SYMBOLS, size)),
    "rnn-normalized": RecurrentModel(20, lambda size, faithful: RNN(SYMBOLS, size, norm="neuron")),
    "lstm": RecurrentModel(9, lambda size, faithful: LSTM(SYMBOLS, size)),
    "fast-weights": RecurrentModel(
        20, lambda size, faithful: FastWeights(SYMBOLS, size, faithful=faithful)
    ),
    "modulated": RecurrentModel(17, lambda size, faithful: ModulatedPlasticity(SYMBOLS, size)),
}
"""The paper's nine, and an RNN with rows of norm 1, to see how much energy that alone saves."""
ABLATIONS = ("stpn-scalar", "stpnf", "stpnf-scalar")
"""STPN with less: one decay and rate for all synapses, no recurrence, or neither."""
LONG = 50
"""Number of epochs from which on claims are asserted of models whose rates were chosen."""


@dataclass(frozen=True)
class ArtConfig(Settings):
    """Settings of stpn-art; the defaults are the paper's.

    Args:
        models: models that learn, one after the other.
        variant: "faithful" computes what the paper's code does, "corrected" what the models' papers
            describe.
        pairs: pairs of key and value in a sequence.
        epochs: number of passes over the sequences.
        batch_size: sequences per update.
        learning_rate: initial learning rate of Adam.
        schedule: whether the rate is constant, or falls linearly to 0 from epoch to epoch.
        train_sequences: number of training sequences.
        learning_rates: rates of which each model takes the one that is best on the validation
            sequences; if there are none, all take learning_rate.
        tuning_epochs: number of passes over the sequences with each of these rates; training then
            starts again from the initial weights.
    """

    models: tuple[str, ...] = tuple(MODELS)
    variant: Variant = "corrected"
    pairs: Annotated[int, Range(1, KEYS)] = 3
    epochs: Count = 200
    batch_size: Size = 128
    learning_rate: Rate = 1e-3
    schedule: Schedule = "constant"
    train_sequences: Count = 100_000
    learning_rates: tuple[Rate, ...] = ()
    tuning_epochs: Count = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("models", self.models, MODELS)
        symbols = 2 * self.pairs + 3
        sequences, seen = self.train_sequences, min(self.batch_size, self.train_sequences)
        check_memory((symbols + 8) * sequences, train_sequences=sequences)
        check_memory(4 * SYMBOLS * symbols * seen, batch_size=self.batch_size)

    def network(self, name: str) -> AnswerNet:
        """Returns a new model by name."""
        model = MODELS[name]
        core = model.make(model.hidden_size, self.variant == "faithful")
        return AnswerNet(core, model.hidden_size, SYMBOLS)


def measure(config: ArtConfig, context: Context) -> dict[str, Any]:
    """Trains the models one after the other, then tests them; returns ``result.json``."""
    check_parts(batch_size=config.batch_size)
    sizes = (config.train_sequences, 10_000, 20_000)
    if context.quick:
        config, sizes = _quick(config), (2000, 500, 500)
        context.tell("smoke run of 4 epochs on 2,000 training and 500 test sequences of one pair")
    sets = retrieval_sets(context.seed, sizes, config.pairs)
    models = networks(config.models, MODELS, (context.seed,), config.network)
    nets = with_copies(models, config.learning_rates).to(context.device)
    loop = Loop(context.run, nets)
    started = context.start(config, _data(sets))
    device = context.device
    train, validation, test = ((x.to(device), answers.to(device)) for x, answers in sets)
    trials: list[Trial] = []

    def training(name: str, rate: float, epochs: int) -> AnswerTraining:
        net: Any = nets[name]
        return AnswerTraining(
            name,
            net,
            encode=one_hot,
            train=train,
            validation=validation,
            epochs=epochs,
            batch_size=config.batch_size,
            learning_rate=rate,
            schedule=config.schedule,
        )

    def measured(name: str, net: AnswerNet) -> dict[str, float]:
        short = partial(training, epochs=config.tuning_epochs)
        rate = config.learning_rate
        if found := tried(name, config.learning_rates, short, loop, place="epoch"):
            rate = best(found).learning_rate
            trials.extend(found)
        loop.run(training(name, rate, config.epochs))
        return {
            "accuracy": answer_accuracy(net, one_hot, *test),
            "energy": mean_energy(net, one_hot, test[0]),
            "parameters": trained_parameters(net),
            "learning_rate": rate,
            "validation_accuracy": answer_accuracy(net, one_hot, *validation),
        }

    metrics = compare(models, measured)
    started["tuning"] = shown(trials)
    head = {"test_accuracy": metrics[field(next(iter(models)), "accuracy")]}
    return context.finish(started, loop, head | metrics, claims(config, metrics, context.quick))


def _quick(config: ArtConfig) -> ArtConfig:
    """Returns the settings of a smoke run."""
    own = config.learning_rate != ArtConfig.learning_rate
    rate = config.learning_rate if own else 0.01
    return replace(config, pairs=1, epochs=4, tuning_epochs=1, batch_size=64, learning_rate=rate)


def _data(sets: list[Retrieval]) -> dict[str, Any]:
    train, _, test = sets
    return {
        "name": "associative retrieval",
        "n_train": len(train.answers),
        "n_test": len(test.answers),
        "source": "generated as the paper's code does",
        "sha256": fingerprint(*(tensor for part in sets for tensor in part)),
    }


def claims(config: ArtConfig, metrics: Mapping[str, float], quick: bool) -> list[Claim]:
    """Returns the claims of the paper's abstract that the trained models can test."""
    if "stpn" not in config.models or len(config.models) == 1:
        return []
    found = [*_accuracy_claims(config, metrics), *_energy_claims(config, metrics)]
    return asserted(found, _is_evidence(config) and not quick)


def _is_evidence(config: ArtConfig) -> bool:
    """Whether all models learn as published, or long enough with rates of their own."""
    config = replace(config, pairs=3, variant="corrected")
    if len(config.learning_rates) > 1 and config.epochs >= LONG:
        config = replace(config, learning_rates=(), epochs=ArtConfig.epochs, schedule="constant")
    return config == ArtConfig()


def _accuracy_claims(config: ArtConfig, metrics: Mapping[str, float]) -> Iterator[Claim]:
    stpn = metrics["stpn_accuracy"]
    rivals, simpler = _others(config)
    if rivals:
        most, target = extreme(metrics, rivals, "accuracy")
        statement = f"STPN answers better than each other model of its size; the next is {most}"
        yield above("accuracy-best", statement, stpn, target, origin="paper")
    if simpler:
        most, target = extreme(metrics, simpler, "accuracy")
        statement = f"STPN answers better than what is left of it with less; the next is {most}"
        yield above("accuracy-ablations", statement, stpn, target)
    solved = at_least(
        "accuracy-solved", "STPN solves the task: 99 of 100 answers are right", stpn, 0.99
    )
    yield from asserted([solved], config.pairs == ArtConfig.pairs)


def _energy_claims(config: ArtConfig, metrics: Mapping[str, float]) -> Iterator[Claim]:
    stpn = metrics["stpn_energy"]
    rivals, simpler = _others(config)
    rivals = [name for name in rivals if name != "rnn-normalized"]
    if rivals:
        least, target = extreme(metrics, rivals, "energy", min)
        statement = f"STPN's synapses need less energy than each other model's; next is {least}"
        yield below("energy-lowest", statement, stpn, target, origin="paper")
    if simpler:
        least, target = extreme(metrics, simpler, "energy", min)
        statement = f"STPN's synapses need less energy than those of its ablations; then {least}"
        yield below("energy-ablations", statement, stpn, target)
    if "rnn-normalized" in config.models:
        statement = (
            "plasticity saves energy beside normalization: more is needed by an RNN with rows of "
            "norm 1"
        )
        yield below("energy-plasticity", statement, stpn, metrics["rnn_normalized_energy"])


def _others(config: ArtConfig) -> tuple[list[str], list[str]]:
    """Returns a run's models other than STPN, without its ablations, and its ablations."""
    others = [name for name in config.models if name not in ("stpn", *ABLATIONS)]
    return others, [name for name in ABLATIONS if name in config.models]

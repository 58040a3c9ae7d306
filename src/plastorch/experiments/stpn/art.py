"""Associative retrieval by short-term plasticity neurons and the models compared with them.

Paper: Garcia Rodriguez, Guo, Moraitis, *Short-Term Plasticity Neurons Learning to Learn and
Forget*, ICML 2022.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal, NamedTuple

from torch import nn

from plastorch.data.tasks.retrieval import KEYS, SYMBOLS, Retrieval, one_hot, retrieval_sets
from plastorch.engine.device import check_memory
from plastorch.engine.distributed import check_parts
from plastorch.engine.errors import check_names
from plastorch.engine.loop import Loop
from plastorch.engine.run import Claim, result
from plastorch.experiments.context import Context
from plastorch.experiments.preset_defaults import Count, Range, Rate, Settings, Size
from plastorch.experiments.stpn import PAPER
from plastorch.experiments.stpn.recurrent import field, networks
from plastorch.stp import STPN
from plastorch.stp.baselines import LSTM, RNN, FastWeights, HebbFF, ModulatedPlasticity, Squashed
from plastorch.stp.train import AnswerNet, AnswerTraining, answer_accuracy, mean_energy

Variant = Literal["corrected", "faithful"]


class Model(NamedTuple):
    """A model of the comparison."""

    hidden_size: int
    """Hidden size, as in the paper: all models have about as many parameters."""
    make: Callable[[int, bool], nn.Module]
    """Function that makes the core from a hidden size, faithful to the paper's code or not."""


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
    "stpn": Model(11, _stpn),
    "stpn-scalar": Model(20, lambda size, faithful: _stpn(size, faithful, True)),
    "stpnf": Model(13, _stpnf),
    "stpnf-scalar": Model(26, lambda size, faithful: _stpnf(size, faithful, True)),
    "hebbff": Model(26, _hebbff),
    "rnn": Model(20, lambda size, faithful: RNN(SYMBOLS, size)),
    "rnn-normalised": Model(20, lambda size, faithful: RNN(SYMBOLS, size, norm="neuron")),
    "lstm": Model(9, lambda size, faithful: LSTM(SYMBOLS, size)),
    "fast-weights": Model(20, lambda size, faithful: FastWeights(SYMBOLS, size, faithful=faithful)),
    "modulated": Model(17, lambda size, faithful: ModulatedPlasticity(SYMBOLS, size)),
}
"""The paper's nine, and an RNN with rows of norm 1, to see how much energy that alone saves."""
ABLATIONS = ("stpn-scalar", "stpnf", "stpnf-scalar")
"""STPN with less: one decay and rate for all synapses, no recurrence, or neither."""


@dataclass(frozen=True)
class ArtConfig(Settings):
    """Settings of stpn-art; the defaults are the paper's.

    Args:
        models: models that learn, one after the other.
        variant: "faithful" computes what the paper's code does, "corrected" what the models' papers
            say.
        pairs: pairs of key and value in a sequence.
        epochs: number of passes over the sequences.
        batch_size: sequences per update.
        learning_rate: learning rate of Adam.
        train_sequences: number of training sequences.
    """

    models: tuple[str, ...] = tuple(MODELS)
    variant: Variant = "corrected"
    pairs: Annotated[int, Range(1, KEYS)] = 3
    epochs: Count = 200
    batch_size: Size = 128
    learning_rate: Rate = 1e-3
    train_sequences: Count = 100_000

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
    """Trains the models one after the other, then tests them.

    Args:
        config: settings of the run.
        context: run folder, data, seed and device.

    Returns:
        The contents of ``result.json``.

    Raises:
        InputError: a checkpoint to resume is unusable.
        Interrupted: the user stopped the run; its folder can be resumed.
    """
    check_parts(batch_size=config.batch_size)
    sizes = (config.train_sequences, 10_000, 20_000)
    if context.quick:
        config, sizes = replace(config, epochs=2), (2000, 500, 500)
        context.tell("smoke run of 2 epochs on 2,000 training and 500 test sequences")
    sets = retrieval_sets(context.seed, sizes, config.pairs)
    nets = networks(config.models, MODELS, (context.seed,), config.network).to(context.device)
    loop = Loop(context.run, nets)
    started = _result(config, context, sets)
    context.run.write_result(started)
    train, validation, test = ([tensor.to(context.device) for tensor in part] for part in sets)
    metrics: dict[str, float] = {}
    for name, net in nets.items():
        assert isinstance(net, AnswerNet)
        loop.run(
            AnswerTraining(
                name,
                net,
                one_hot,
                (train[0], train[1]),
                (validation[0], validation[1]),
                config.epochs,
                config.batch_size,
                config.learning_rate,
            )
        )
        metrics[field(name, "accuracy")] = answer_accuracy(net, one_hot, test[0], test[1])
        metrics[field(name, "energy")] = mean_energy(net, one_hot, test[0])
        trained = (p.numel() for p in net.parameters() if p.requires_grad)
        metrics[field(name, "parameters")] = sum(trained)
    head = {"test_accuracy": metrics[field(next(iter(nets)), "accuracy")]}
    return context.finish(started, loop, head | metrics, claims(config, metrics, context.quick))


def claims(config: ArtConfig, metrics: dict[str, float], quick: bool) -> list[Claim]:
    """Returns the claims of the paper's abstract that the trained models can test."""

    def of(kind: str) -> dict[str, float]:
        ends = {name: field(name, kind) for name in config.models}
        return {name: metrics[end] for name, end in ends.items()}

    if "stpn" not in config.models or len(config.models) == 1:
        return []
    ordinary = replace(config, pairs=3, variant="corrected") == ArtConfig() and not quick
    found = [*_accuracy_claims(of("accuracy"), config.pairs), *_energy_claims(of("energy"))]
    return found if ordinary else [replace(claim, holds=None) for claim in found]


def _accuracy_claims(accuracy: dict[str, float], pairs: int) -> Iterator[Claim]:
    stpn = accuracy.pop("stpn")
    simpler = {name: accuracy.pop(name) for name in ABLATIONS if name in accuracy}
    if accuracy:
        best = max(accuracy, key=lambda name: accuracy[name])
        statement = f"STPN answers better than each other model of its size; the next is {best}"
        target = accuracy[best]
        yield Claim("accuracy-best", statement, target, stpn, stpn > target, "paper")
    if simpler:
        best = max(simpler, key=lambda name: simpler[name])
        statement = f"STPN answers better than what is left of it with less; the next is {best}"
        target = simpler[best]
        yield Claim("accuracy-ablations", statement, target, stpn, stpn > target, "ours")
    statement = "STPN solves the task: 99 of 100 answers are right"
    solved = stpn >= 0.99 if pairs == ArtConfig.pairs else None
    yield Claim("accuracy-solved", statement, 0.99, stpn, solved, "ours")


def _energy_claims(energy: dict[str, float]) -> Iterator[Claim]:
    stpn = energy.pop("stpn")
    alone = energy.pop("rnn-normalised", None)
    simpler = {name: energy.pop(name) for name in ABLATIONS if name in energy}
    if energy:
        least = min(energy, key=lambda name: energy[name])
        statement = f"STPN's synapses need less energy than each other model's; next is {least}"
        target = energy[least]
        yield Claim("energy-lowest", statement, target, stpn, stpn < target, "paper")
    if simpler:
        least = min(simpler, key=lambda name: simpler[name])
        statement = f"STPN's synapses need less energy than those of its ablations; then {least}"
        target = simpler[least]
        yield Claim("energy-ablations", statement, target, stpn, stpn < target, "ours")
    if alone is not None:
        statement = (
            "plasticity saves energy beside normalization: more is needed by an RNN with rows of "
            "norm 1"
        )
        yield Claim("energy-plasticity", statement, alone, stpn, stpn < alone, "ours")


def _result(config: ArtConfig, context: Context, sets: list[Retrieval]) -> dict[str, Any]:
    digest = hashlib.sha256()
    for part in sets:
        for tensor in part:
            digest.update(tensor.numpy().tobytes())
    train, _, test = sets
    data = {
        "name": "associative retrieval",
        "n_train": len(train.answers),
        "n_test": len(test.answers),
        "source": "generated as the paper's code does",
        "sha256": digest.hexdigest(),
    }
    settings = {**asdict(config), "models": list(config.models)}
    settings |= {"seed": context.seed, "quick": context.quick}
    return result("stpn-art", PAPER, settings, data, context.device)

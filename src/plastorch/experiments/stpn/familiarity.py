"""Continual familiarity detection by short-term plasticity neurons, HebbFF and an LSTM.

Paper: Garcia Rodriguez, Guo, Moraitis, *Short-Term Plasticity Neurons Learning to Learn and
Forget*, ICML 2022.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

from torch import nn

from plastorch.data.tasks.familiarity import FamiliarityStream, familiarity_stream
from plastorch.engine.checkpoint import fingerprint
from plastorch.engine.device import check_memory
from plastorch.engine.errors import InputError, check_names
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Claim, Record
from plastorch.engine.streams import stream
from plastorch.experiments.claims import above, asserted
from plastorch.experiments.context import Context
from plastorch.experiments.models import compare, field, networks
from plastorch.experiments.preset_defaults import Count, Range, Rate, Settings
from plastorch.experiments.stpn.recurrent import RecurrentModel, trained_parameters
from plastorch.experiments.stpn.streams import Stream
from plastorch.experiments.stpn.tuning import Trial, best, shown, tried, with_copies
from plastorch.stp import STPN
from plastorch.stp.familiarity import BoundedHebbFF, FamiliarityNet, FamiliarityTraining, rates_on

FEATURES = 100
TESTED = range(1, 20)
"""Steps R from an item to its repeat on which each model is tested."""
UPDATES = {("dat", 3): 3000, ("inf", 3): 1600, ("inf", 6): 3500}
"""Published number of updates, by mode and R."""


def _normal(unit: STPN) -> STPN:
    """Initializes W and b as in the paper's code for this task."""
    weight = unit.get_parameter("cells.0.weight")
    nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
    nn.init.normal_(unit.get_parameter("cells.0.bias"))
    return unit


def _unit(size: int, rate: float, **settings: Any) -> STPN:
    """Returns an STPN whose Γ starts in ±rate."""
    unit = _normal(STPN(FEATURES, size, **settings))
    nn.init.uniform_(unit.get_parameter("cells.0.weight_gamma"), -rate, rate)
    return unit


MODELS = {
    "stpn": RecurrentModel(27, lambda size: _unit(size, 0.001 * size**-0.5)),
    "stpnf": RecurrentModel(
        34, lambda size: _unit(size, 0.001 * size**-0.5, plasticity="feedforward")
    ),
    "stpn-scalar": RecurrentModel(62, lambda size: _unit(size, 0.001 / size, scalar=True)),
    "stpnf-scalar": RecurrentModel(
        100, lambda size: _unit(size, 0.001 * size**-0.5, plasticity="feedforward", scalar=True)
    ),
    "hebbff": RecurrentModel(100, lambda size: _normal(BoundedHebbFF(FEATURES, size))),
    "lstm": RecurrentModel(21, lambda size: nn.LSTM(FEATURES, size)),
}


@dataclass(frozen=True)
class FamiliarityConfig(Settings):
    """Settings of stpn-familiarity; the defaults are the paper's.

    Args:
        models: models that learn, one after the other.
        mode: "dat" uses the same stream at each update, "inf" a new one.
        repeat: number of steps R from an item to its repeat, in training.
        steps: number of items in a stream.
        updates: number of updates of each model; None takes the published number.
        learning_rate: learning rate of Adam.
        learning_rates: rates of which each model takes the one that is best on the validation
            stream, with the number of updates at which it is best; if there are none, all take
            learning_rate and all updates.
    """

    models: tuple[str, ...] = tuple(MODELS)
    mode: Literal["dat", "inf"] = "dat"
    repeat: Annotated[int, Range(TESTED[0], TESTED[-1])] = 3
    steps: Annotated[int, Range(TESTED[-1] + 1, 10**9)] = 5000
    updates: Count | None = None
    learning_rate: Rate = 1e-3
    learning_rates: tuple[Rate, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("models", self.models, MODELS)
        check_memory(4 * FEATURES * len(TESTED) * self.steps, steps=self.steps)
        if self.updates is None and (self.mode, self.repeat) not in UPDATES:
            raise InputError(
                f"updates is None; expected a number: none is published for mode {self.mode} "
                f"and repeat {self.repeat}"
            )

    @property
    def length(self) -> int:
        """Returns the number of updates of each model."""
        return UPDATES[self.mode, self.repeat] if self.updates is None else self.updates


def measure(config: FamiliarityConfig, context: Context) -> dict[str, Any]:
    """Trains the models one after the other, and tests each on all R; returns ``result.json``."""
    if context.quick:
        steps, updates = min(config.steps, 500), min(config.length, 20)
        config = replace(config, steps=steps, updates=updates)
        context.tell(f"smoke run of {updates} updates on streams of {steps} items")
    draw = partial(_drawn, config, context)
    tests = {repeat: draw(repeat, Stream.TEST_ITEMS, repeat) for repeat in TESTED}
    test, validation = tests[config.repeat], draw(config.repeat, Stream.VALIDATION_ITEMS)
    models = networks(config.models, MODELS, (context.seed, Stream.WEIGHTS), network)
    nets = with_copies(models, config.learning_rates).to(context.device)
    loop = Loop(context.run, nets)
    started = context.start(config, _data(config, test))
    trials: list[Trial] = []

    def training(name: str, rate: float, updates: int = config.length) -> FamiliarityTraining:
        net: Any = nets[name]
        return FamiliarityTraining(
            name,
            net,
            stream=_streams(config, draw),
            updates=updates,
            learning_rate=rate,
            validation=validation,
        )

    def measured(name: str, net: FamiliarityNet) -> dict[str, float]:
        rate, updates = config.learning_rate, config.length
        if found := tried(name, config.learning_rates, training, loop, place="step"):
            _, rate, updates, _ = best(found)
            trials.extend(found)
        loop.run(training(name, rate, updates))
        jobs = [partial(_test, net, repeat, items) for repeat, items in tests.items()]
        loop.run(Jobs(f"generalisation-{name}", jobs))
        return rates_on(net, test)._asdict() | {
            "parameters": trained_parameters(net),
            "learning_rate": rate,
            "updates": updates,
            "validation_accuracy": rates_on(net, validation).accuracy,
        }

    metrics = compare(models, measured)
    started["tuning"] = shown(trials)
    head = {"test_accuracy": metrics[field(next(iter(models)), "accuracy")]}
    novel = 1 - float(test.repeats.double().mean())
    metrics |= {"novel_share": novel, "majority_accuracy": max(novel, 1 - novel)}
    found = claims(config, metrics, novel, context.quick)
    return context.finish(started, loop, head | metrics, found)


def network(name: str) -> FamiliarityNet:
    """Returns a new model by name."""
    model = MODELS[name]
    return FamiliarityNet(model.make(model.hidden_size), model.hidden_size)


def claims(
    config: FamiliarityConfig, metrics: Mapping[str, float], novel: float, quick: bool
) -> list[Claim]:
    """Returns claims that compare STPN with the other models, at the R of its training.

    ``novel`` is the share of new items in the test stream.
    """
    if "stpn" not in config.models:
        return []
    statement = "STPN tells repeats better than"
    kind, words = ("tuned-", ", all tuned alike") if len(config.learning_rates) > 1 else ("", "")
    rivals = {
        "chance": (novel, f"{statement} the answer that all items are new"),
        f"{kind}lstm": (metrics.get("lstm_accuracy"), f"{statement} an LSTM{words}"),
        f"{kind}hebbff": (
            metrics.get("hebbff_accuracy"),
            f"{statement} HebbFF, which was made for this task{words}",
        ),
    }
    found = [
        above(f"above-{name}", said, metrics["stpn_accuracy"], target)
        for name, (target, said) in rivals.items()
        if target is not None
    ]
    published = (config.mode, config.repeat) in UPDATES
    config = replace(config, mode="dat", repeat=3, learning_rates=())
    ordinary = config == FamiliarityConfig() and published
    return asserted(found, ordinary and not quick)


def _drawn(
    config: FamiliarityConfig, context: Context, repeat: int, *path: int
) -> FamiliarityStream:
    """Returns a stream of items; equal paths give equal ones."""
    random = stream(context.seed, *path)
    return familiarity_stream(config.steps, repeat, FEATURES, random).to(context.device)


def _streams(
    config: FamiliarityConfig, draw: Callable[..., FamiliarityStream]
) -> Callable[[int], FamiliarityStream]:
    """Returns the function that makes the stream of an update."""
    if config.mode == "inf":
        return lambda update: draw(config.repeat, Stream.NEW_ITEMS, update)
    fixed = draw(config.repeat, Stream.FIXED_ITEMS)
    return lambda update: fixed


def _test(net: FamiliarityNet, repeat: int, items: FamiliarityStream) -> list[Record]:
    return [{"repeat": repeat, **rates_on(net, items)._asdict()}]


def _data(config: FamiliarityConfig, test: FamiliarityStream) -> dict[str, Any]:
    return {
        "name": "continual familiarity",
        "n_train": config.steps * (1 if config.mode == "dat" else config.length),
        "n_test": config.steps,
        "source": "generated as the paper describes",
        "sha256": fingerprint(*test),
    }

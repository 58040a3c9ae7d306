"""Continual familiarity detection by short-term plasticity neurons, HebbFF and an LSTM.

Paper: Garcia Rodriguez, Guo, Moraitis, *Short-Term Plasticity Neurons Learning to Learn and
Forget*, ICML 2022.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

from torch import nn

from plastorch.data.tasks.familiarity import FamiliarityStream, familiarity_stream
from plastorch.engine.device import check_memory, generator
from plastorch.engine.errors import InputError, check_names
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Claim, Record, result
from plastorch.experiments.context import Context
from plastorch.experiments.preset_defaults import Count, Range, Rate, Settings
from plastorch.experiments.stpn import PAPER
from plastorch.experiments.stpn.recurrent import field, networks
from plastorch.stp import STPN
from plastorch.stp.familiarity import FamiliarityNet, FamiliarityTraining, HebbFF, rates_on

FEATURES = 100
TESTED = range(1, 20)
"""Steps R from an item to its repeat on which each model is tested."""
UPDATES = {("dat", 3): 3000, ("inf", 3): 1600, ("inf", 6): 3500}
"""Published number of updates, by mode and R."""


class Model(NamedTuple):
    """A model of the comparison."""

    hidden_size: int
    """Hidden size, as in the paper: all models have about as many parameters."""
    make: Callable[[int], nn.Module]
    """Function that makes the core from a hidden size."""


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
    "stpn": Model(27, lambda size: _unit(size, 0.001 * size**-0.5)),
    "stpnf": Model(34, lambda size: _unit(size, 0.001 * size**-0.5, plasticity="feedforward")),
    "stpn-scalar": Model(62, lambda size: _unit(size, 0.001 / size, scalar=True)),
    "stpnf-scalar": Model(
        100, lambda size: _unit(size, 0.001 * size**-0.5, plasticity="feedforward", scalar=True)
    ),
    "hebbff": Model(100, lambda size: _normal(HebbFF(FEATURES, size))),
    "lstm": Model(21, lambda size: nn.LSTM(FEATURES, size)),
}


@dataclass(frozen=True)
class FamiliarityConfig(Settings):
    """Settings of stpn-familiarity; the defaults are the paper's.

    Args:
        models: models that learn, one after the other.
        mode: "dat" sees the same stream at each update, "inf" a new one.
        repeat: R, steps from an item to its repeat, in training.
        steps: number of items in a stream.
        updates: number of updates of each model; None takes the published number.
        learning_rate: learning rate of Adam.
    """

    models: tuple[str, ...] = tuple(MODELS)
    mode: Literal["dat", "inf"] = "dat"
    repeat: Annotated[int, Range(TESTED[0], TESTED[-1])] = 3
    steps: Annotated[int, Range(TESTED[-1] + 1, 10**9)] = 5000
    updates: Count | None = None
    learning_rate: Rate = 1e-3

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
    """Trains the models one after the other, and tests each on all R.

    Args:
        config: settings of the run.
        context: run folder, data, seed and device.

    Returns:
        The contents of ``result.json``.

    Raises:
        InputError: a checkpoint to resume is unusable.
        Interrupted: the user stopped the run; its folder can be resumed.
    """
    if context.quick:
        steps, updates = min(config.steps, 500), min(config.length, 20)
        config = replace(config, steps=steps, updates=updates)
        context.tell(f"smoke run of {updates} updates on streams of {steps} items")
    draw = partial(_drawn, config, context)
    tests = {repeat: draw(repeat, 1, repeat) for repeat in TESTED}
    nets = networks(config.models, MODELS, (context.seed, 0), network).to(context.device)
    loop = Loop(context.run, nets)
    started = _result(config, context, tests[config.repeat])
    context.run.write_result(started)
    for name, net in nets.items():
        assert isinstance(net, FamiliarityNet)
        loop.run(_training(name, net, config, draw))
        jobs = [partial(_test, net, repeat, stream) for repeat, stream in tests.items()]
        loop.run(Jobs(f"generalisation-{name}", jobs))
    measured = metrics(config, context.run.records())
    sizes = {
        field(name, "parameters"): sum(p.numel() for p in net.parameters())
        for name, net in nets.items()
    }
    novel = 1 - float(tests[config.repeat].repeats.double().mean())
    found = claims(config, measured, novel, context.quick)
    return context.finish(started, loop, measured | sizes | {"novel_share": novel}, found)


def network(name: str) -> FamiliarityNet:
    """Returns a new model by name."""
    model = MODELS[name]
    return FamiliarityNet(model.make(model.hidden_size), model.hidden_size)


def metrics(config: FamiliarityConfig, records: list[Record]) -> dict[str, float]:
    """Returns each model's logged test figures at the R of its training."""
    found: dict[str, float] = {}
    for name in (name for name in MODELS if name in config.models):
        (row,) = (
            record
            for record in records
            if record["phase"] == f"generalisation-{name}" and record["repeat"] == config.repeat
        )
        found.setdefault("test_accuracy", float(row["accuracy"]))
        for kind in ("accuracy", "true_positive_rate", "false_positive_rate"):
            found[field(name, kind)] = float(row[kind])
    return found


def claims(
    config: FamiliarityConfig, metrics: dict[str, float], novel: float, quick: bool
) -> list[Claim]:
    """Returns claims that compare STPN with the other models, at the R of its training.

    Args:
        config: settings of the run.
        metrics: metrics of its models.
        novel: share of new items in the test stream.
        quick: whether it was a smoke run.

    Returns:
        One claim per comparison that the trained models allow.
    """
    if "stpn" not in config.models:
        return []
    published = (config.mode, config.repeat) in UPDATES
    ordinary = replace(config, mode="dat", repeat=3) == FamiliarityConfig() and published
    stpn = metrics["stpn_accuracy"]
    targets = {
        "chance": (novel, "STPN tells repeats better than the answer that all items are new"),
        "lstm": (metrics.get("lstm_accuracy"), "STPN tells repeats better than an LSTM"),
        "hebbff": (
            metrics.get("hebbff_accuracy"),
            "STPN tells repeats better than HebbFF, which was made for this task",
        ),
    }
    return [
        Claim(
            f"above-{name}",
            statement,
            target,
            stpn,
            stpn > target if ordinary and not quick else None,
            "ours",
        )
        for name, (target, statement) in targets.items()
        if target is not None
    ]


def _drawn(
    config: FamiliarityConfig, context: Context, repeat: int, *path: int
) -> FamiliarityStream:
    """Returns a stream; equal paths give equal streams."""
    random = generator(context.seed, *path)
    return familiarity_stream(config.steps, repeat, FEATURES, random).to(context.device)


def _training(
    name: str,
    net: FamiliarityNet,
    config: FamiliarityConfig,
    draw: Callable[..., FamiliarityStream],
) -> FamiliarityTraining:
    validation = None
    if config.mode == "dat":
        fixed, validation = draw(config.repeat, 2), draw(config.repeat, 3)

    def stream(update: int) -> FamiliarityStream:
        return fixed if config.mode == "dat" else draw(config.repeat, 4, update)

    return FamiliarityTraining(name, net, stream, config.length, config.learning_rate, validation)


def _test(net: FamiliarityNet, repeat: int, stream: FamiliarityStream) -> list[Record]:
    return [{"repeat": repeat, **rates_on(net, stream)._asdict()}]


def _result(config: FamiliarityConfig, context: Context, test: FamiliarityStream) -> dict[str, Any]:
    digest = hashlib.sha256()
    for tensor in test:
        digest.update(tensor.cpu().numpy().tobytes())
    data = {
        "name": "continual familiarity",
        "n_train": config.steps * (1 if config.mode == "dat" else config.length),
        "n_test": config.steps,
        "source": "generated as the paper describes",
        "sha256": digest.hexdigest(),
    }
    settings = {**asdict(config), "models": list(config.models)}
    settings |= {"seed": context.seed, "quick": context.quick}
    return result("stpn-familiarity", PAPER, settings, data, context.device)

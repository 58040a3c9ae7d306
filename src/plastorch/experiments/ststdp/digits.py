"""Short-term STDP on digits that transform: unsupervised, static training against backpropagation.

Paper: Moraitis, Sebastian, Eleftheriou, *Optimality of short-term synaptic plasticity in modeling
certain dynamic environments*, 2020.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from plastorch.data import ImageSet, load_images
from plastorch.data.tasks.streams import TRANSFORMS, Transforms
from plastorch.engine.checkpoint import fingerprint
from plastorch.engine.device import check_memory, fast_matmul, generator
from plastorch.engine.errors import InputError, check_names
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Record, result
from plastorch.experiments.context import Context
from plastorch.experiments.preset_defaults import Count, Settings, Size
from plastorch.experiments.stpn.recurrent import field, networks
from plastorch.experiments.ststdp import PAPER, phases, theory
from plastorch.experiments.ststdp.claims import FRAME_NETS, claims, curves, metrics
from plastorch.spiking.shortterm.baselines import Digits, RecurrentNet, StreamTraining, cnn, mlp
from plastorch.spiking.shortterm.environment import World
from plastorch.spiking.shortterm.layer import ShortTermWTA
from plastorch.spiking.shortterm.learning import SpikeLearning
from plastorch.spiking.shortterm.longterm import LongTerm
from plastorch.spiking.shortterm.rule import ShortTerm, name_neurons
from plastorch.spiking.shortterm.streams import Stream
from plastorch.stp import STPN

NEURONS = 400
LEARNING = LongTerm(rate=0.1, homeostasis=0.2)
"""Faster learning than the default, so that what neurons learned early is forgotten."""
DYNAMIC = ("occlusion", "rotation", "translation", "scale", "contrast", "mixed")
AT_REST = Transforms(frames=1)
"""Each digit for one frame, unchanged except for noise."""
STATIC_EPOCHS = 20
QUICK_THIN = 16
"""Divisor of the number of settings that a smoke run tries."""
PATIENCE = 2
"""Number of epochs without improvement after which a network stops learning."""


class Model(NamedTuple):
    """A network of the comparison; with 28 x 28 pixels, all have as many parameters as the
    circuit, to 10 %."""

    make: Callable[[int, int], nn.Module]
    """Function that makes a network from the side of images, pixels, and the number of classes."""
    learning_rate: float
    window: int
    """Presentations per update."""


def _recurrent(core: type[nn.Module], hidden_size: int, side: int, classes: int) -> nn.Module:
    return RecurrentNet(core(side * side, hidden_size), hidden_size, classes)


MODELS = {
    "mlp": Model(lambda side, classes: mlp(side, 395, classes), 1e-3, 1),
    "cnn": Model(lambda side, classes: cnn(side, 190, classes), 1e-3, 1),
    "rnn": Model(partial(_recurrent, nn.RNN, 289), 1e-3, 2),
    "gru": Model(partial(_recurrent, nn.GRU, 116), 3e-3, 2),
    "lstm": Model(partial(_recurrent, nn.LSTM, 90), 3e-3, 2),
    "stpn": Model(partial(_recurrent, STPN, 116), 3e-3, 2),
}
MAIN = ("mlp", "cnn", "rnn", "gru", "lstm")
"""Networks of the comparison, except the slowest."""


@dataclass(frozen=True)
class DigitsConfig(Settings):
    """Settings of ststdp-digits.

    Args:
        transforms: transforms of the digits, one after the other.
        models: networks that learn by backpropagation, from streams of each transform.
        train_digits: number of digits to learn from.
        validation_digits: number of digits on which settings are chosen.
        test_digits: number of test digits.
        spiking_digits: number of test digits that the circuit is shown spike by spike.
        passes: number of passes of the circuit over the digits, at rest.
        epochs: maximum number of epochs of the other networks.
        streams: number of streams that run side by side.
        theory_steps: number of steps of each environment in which the theory is tested.
    """

    transforms: tuple[str, ...] = DYNAMIC
    models: tuple[str, ...] = MAIN
    train_digits: Count = 6000
    validation_digits: Count = 200
    test_digits: Count = 1000
    spiking_digits: Count = 200
    passes: Count = 4
    epochs: Count = 8
    streams: Size = 20
    theory_steps: Count = 12_000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("models", self.models, MODELS)
        check_names("transforms", self.transforms, DYNAMIC)
        for name in ("train_digits", "validation_digits", "test_digits", "spiking_digits"):
            if getattr(self, name) < self.streams:
                raise InputError(
                    f"{name} is {getattr(self, name)}; expected {self.streams} or more: streams"
                )
        check_memory(2 * 8 * World().inputs * self.theory_steps, theory_steps=self.theory_steps)


class Networks(nn.Module):
    """The networks that learn in a run.

    Args:
        config: settings with the choice of networks.
        side: side of the images, pixels.
        classes: number of classes of the images.
        seed: random seed of initial weights.
    """

    names: Tensor

    def __init__(self, config: DigitsConfig, side: int, classes: int, seed: int) -> None:
        super().__init__()
        self.circuit = ShortTermWTA(
            side * side,
            NEURONS,
            long_term=LEARNING,
            generator=generator(seed, Stream.LEARNING, 0),
        )
        self.register_buffer("names", torch.zeros(NEURONS, dtype=torch.int64))

        def made(models: Sequence[str], place: int) -> nn.ModuleDict:
            path = (seed, 1, place)
            return networks(models, MODELS, path, lambda name: MODELS[name].make(side, classes))

        self.static = made([name for name in config.models if name in FRAME_NETS], 0)
        places = {name: DYNAMIC.index(name) + 1 for name in config.transforms}
        self.moving = nn.ModuleDict(
            {name: made(config.models, place) for name, place in places.items()}
        )

    def learned_from(self, transform: str) -> nn.ModuleDict:
        """Returns the networks that learn from streams of a transform."""
        nets = self.moving[transform]
        assert isinstance(nets, nn.ModuleDict)
        return nets


def measure(config: DigitsConfig, context: Context) -> dict[str, Any]:
    """Runs all parts; writes arrays and result into the run folder.

    Args:
        config: settings of the run.
        context: run folder, data, seed and device.

    Returns:
        The contents of ``result.json``.

    Raises:
        InputError: data or a checkpoint to resume are unusable.
        Interrupted: the user stopped the run; its folder can be resumed.
    """
    images = load_images("mnist", context.data)
    if images.notice:
        context.tell(images.notice)
    if context.quick:
        config = _quick(config)
        context.tell("smoke run of few digits, epochs and settings")
    sets = split(images, config, context.seed)
    nets = Networks(config, images.train_images.shape[-1], len(images.classes), context.seed)
    nets.static.to(context.device)
    nets.moving.to(context.device)
    loop = Loop(context.run, nets)
    started = _result(config, context, images, sets)
    context.run.write_result(started)
    bench = phases.Bench(
        nets.circuit,
        nets.names,
        len(images.classes),
        *sets,
        (min(3 * config.streams, config.validation_digits), config.spiking_digits),
        config.streams,
        context.seed,
        thin=QUICK_THIN if context.quick else 1,
    )
    arrays: dict[str, Tensor] = {}
    with fast_matmul():
        loop.run(Jobs("theory", theory.jobs(context.seed, config.theory_steps)))
        _learn(config, context, bench, nets, loop)
        for transform in config.transforms:
            _compare(config, context, transform, bench, nets, loop)
        records = context.run.records()
        loop.run(Jobs("controls", phases.control_jobs(bench, config.transforms, records)))
        first = config.transforms[0]
        picture = partial(
            phases.picture_job, bench, first, nets.learned_from(first), records, arrays
        )
        loop.recompute(Jobs("pictures", [picture], shared=False))
    records = context.run.records()
    for name in ("occlusion", "abrupt"):
        arrays[f"covered_{name}"] = TRANSFORMS[name].covered()
    context.run.write_arrays(arrays | curves(records))
    measured = metrics(records)
    head = {"test_accuracy": measured[field(config.transforms[0], "short_term_accuracy")]}
    defaults = replace(config, transforms=DYNAMIC, models=MAIN) == DigitsConfig()
    asserted = defaults and not (context.quick or images.notice)
    found = claims(measured, config.transforms, config.models, asserted)
    return context.finish(started, loop, head | _sizes(nets) | measured, found)


def split(images: ImageSet, config: DigitsConfig, seed: int) -> tuple[Digits, Digits, Digits]:
    """Returns digits to learn from, to choose settings with, and to test; the three are disjoint.

    If there are too few, fewer are learned from.

    Raises:
        InputError: there are too few to learn from or to test.
    """
    order = torch.randperm(len(images.train_labels), generator=generator(seed, 0))
    held, rest = order[: config.validation_digits], order[config.validation_digits :]
    tested = torch.randperm(len(images.test_labels), generator=generator(seed, 2))
    parts = (
        (images.train_images, images.train_labels, rest[: config.train_digits]),
        (images.train_images, images.train_labels, held),
        (images.test_images, images.test_labels, tested[: config.test_digits]),
    )
    for name, (_, _, rows) in zip(("train", "validation", "test"), parts, strict=True):
        if len(rows) < config.streams:
            raise InputError(f"{name} digits are {len(rows)}; expected one per stream or more")
    train, validation, test = (
        Digits(pixels[rows].float().mean(1) / 255, labels[rows]) for pixels, labels, rows in parts
    )
    return train, validation, test


def _learn(
    config: DigitsConfig, context: Context, bench: phases.Bench, nets: Networks, loop: Loop
) -> None:
    """Trains on digits at rest: the circuit by spikes without labels, networks by gradients."""
    images = bench.train.images
    path = (context.seed, 3)
    loop.run(SpikeLearning(nets.circuit, images, passes=config.passes, path=path))

    def name() -> list[Record]:
        circuit = ShortTerm(site="none", competition="hard")
        use = replace(bench, names=torch.arange(NEURONS), classes=NEURONS).classify(circuit)
        won, _ = use(images.flatten(1).unsqueeze(1), None)
        nets.names.copy_(name_neurons(won.squeeze(1), bench.train.labels, bench.classes))
        return []

    loop.run(Jobs("names", [name], shared=False))
    for model, net in nets.static.items():
        epochs = min(STATIC_EPOCHS, 5 * config.epochs)
        training = _training(config, context, bench, net, "static", model, AT_REST, epochs)
        loop.run(training)


def _compare(
    config: DigitsConfig,
    context: Context,
    transform: str,
    bench: phases.Bench,
    nets: Networks,
    loop: Loop,
) -> None:
    """Chooses settings, trains networks on streams of a transform, and tests all."""
    moving = nets.learned_from(transform)
    loop.run(Jobs(f"settings-{transform}", phases.settings_jobs(bench, transform)))
    for model, net in moving.items():
        transforms = TRANSFORMS[transform]
        loop.run(
            _training(config, context, bench, net, transform, model, transforms, config.epochs)
        )
    records = context.run.records()
    smoothing = phases.smoothing_jobs(bench, transform, moving, records)
    loop.run(Jobs(f"smoothing-{transform}", smoothing))
    records = context.run.records()
    ratios = transform == config.transforms[0]
    tests = phases.measurement_jobs(bench, transform, moving, nets.static, records, ratios)
    loop.run(Jobs(f"tests-{transform}", tests))


def _training(
    config: DigitsConfig,
    context: Context,
    bench: phases.Bench,
    net: nn.Module,
    place: str,
    name: str,
    transforms: Transforms,
    epochs: int,
) -> StreamTraining:
    model = MODELS[name]
    train, validation = (
        Digits(*(part.to(context.device) for part in digits))
        for digits in (bench.train, bench.validation)
    )
    number = (*DYNAMIC, "static").index(place), list(MODELS).index(name)
    return StreamTraining(
        f"{place}-{name}",
        net,
        train,
        validation,
        transforms,
        epochs,
        PATIENCE,
        config.streams,
        model.window,
        model.learning_rate,
        (context.seed, 4, *number),
    )


def _sizes(nets: Networks) -> dict[str, float]:
    """Returns the number of parameters of each model."""
    moving = nets.learned_from(next(iter(nets.moving)))
    sizes: dict[str, float] = {
        field(name, "parameters"): sum(p.numel() for p in net.parameters())
        for name, net in moving.items()
    }
    return sizes | {"circuit_parameters": nets.circuit.weight.numel()}


def _quick(config: DigitsConfig) -> DigitsConfig:
    """Reduces settings to one transform, few digits and epochs: less than a minute on two cores."""
    return replace(
        config,
        transforms=config.transforms[:1],
        train_digits=min(400, config.train_digits),
        validation_digits=min(60, config.validation_digits),
        test_digits=min(60, config.test_digits),
        spiking_digits=min(20, config.spiking_digits),
        passes=1,
        epochs=1,
        streams=min(20, config.streams),
        theory_steps=min(400, config.theory_steps),
    )


def _result(
    config: DigitsConfig, context: Context, images: ImageSet, sets: tuple[Digits, Digits, Digits]
) -> dict[str, Any]:
    train, _, test = sets
    data = {
        "name": images.name,
        "n_train": len(train.labels),
        "n_test": len(test.labels),
        "source": images.source,
        "sha256": fingerprint(*(part for digits in sets for part in digits)),
        "classes": list(images.classes),
        "notice": images.notice,
    }
    lists = {"transforms": list(config.transforms), "models": list(config.models)}
    settings = {**asdict(config), **lists, "seed": context.seed, "quick": context.quick}
    return result("ststdp-digits", PAPER, settings, data, context.device)

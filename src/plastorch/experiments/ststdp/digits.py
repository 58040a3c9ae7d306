"""Short-term STDP on digits that transform: unsupervised, static training against backpropagation.

Paper: Moraitis, Sebastian, Eleftheriou, *Optimality of short-term synaptic plasticity in modeling
certain dynamic environments*, 2020.
"""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from plastorch.data.tasks.streams import TRANSFORMS
from plastorch.engine.device import check_memory, fast_matmul
from plastorch.engine.errors import check_names
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.experiments.context import Context
from plastorch.experiments.models import field
from plastorch.experiments.preset_defaults import Count
from plastorch.experiments.ststdp import jobs, theory
from plastorch.experiments.ststdp.circuits import NamedCircuit
from plastorch.experiments.ststdp.claims import FRAME_NETS, claims
from plastorch.experiments.ststdp.measuring import AT_REST, CONDITIONS, DYNAMIC, QUICK_THIN, Bench
from plastorch.experiments.ststdp.metrics import curves, metrics
from plastorch.experiments.ststdp.networks import MODELS, made
from plastorch.experiments.ststdp.pictures import pictures
from plastorch.experiments.ststdp.sets import DigitSets, described, loaded
from plastorch.experiments.ststdp.training import StreamTraining, TrainingCourse
from plastorch.spiking.shortterm.environment import World
from plastorch.spiking.shortterm.learning import SpikeLearning
from plastorch.spiking.shortterm.recognition import Digits
from plastorch.spiking.shortterm.streams import Learning, Stream

LEARNED_FROM = ("static", *DYNAMIC)
"""Streams from which networks learn, by the place of their weights among random numbers."""
STATIC_EPOCHS = 20
MAIN = ("mlp", "cnn", "rnn", "gru", "lstm")
"""Networks of the comparison, except the slowest."""


@dataclass(frozen=True)
class DigitsConfig(DigitSets):
    """Settings of ststdp-digits.

    Args:
        transforms: transforms of the digits, one after the other.
        models: networks that learn by backpropagation from streams of each transform.
        train_digits: number of digits to learn from.
        validation_digits: number of digits on which settings are chosen.
        test_digits: number of test digits.
        passes: number of passes of the circuit over digits at rest.
        epochs: maximum number of epochs of the other networks.
        streams: number of streams that run side by side.
        theory_steps: number of steps in each environment in which the theory is tested.
    """

    transforms: tuple[str, ...] = DYNAMIC
    models: tuple[str, ...] = MAIN
    validation_digits: Count = 200
    passes: Count = 4
    epochs: Count = 8
    theory_steps: Count = 12_000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("models", self.models, MODELS)
        check_names("transforms", self.transforms, DYNAMIC)
        check_memory(2 * 8 * World().inputs * self.theory_steps, theory_steps=self.theory_steps)


class DigitNetworks(nn.Module):
    """The networks that learn in a run, for images of ``side`` x ``side`` pixels."""

    def __init__(self, config: DigitsConfig, side: int, classes: int, seed: int) -> None:
        super().__init__()
        random = stream(seed, Stream.LEARNING, Learning.WEIGHTS)
        self.named = NamedCircuit(side * side, random)
        at_rest = [name for name in config.models if name in FRAME_NETS]
        paths = {name: (seed, Stream.WEIGHTS, place) for place, name in enumerate(LEARNED_FROM)}
        self.static = made(at_rest, side, classes, paths["static"])
        self.moving = nn.ModuleDict(
            {name: made(config.models, side, classes, paths[name]) for name in config.transforms}
        )

    def learned_from(self, transform: str) -> nn.ModuleDict:
        """Returns the networks that learn from streams of a transform."""
        nets = self.moving[transform]
        assert isinstance(nets, nn.ModuleDict)
        return nets

    def sizes(self) -> dict[str, float]:
        """Returns the number of parameters of each model, as metrics."""
        moving = self.learned_from(next(iter(self.moving)))
        sizes: dict[str, float] = {
            field(name, "parameters"): sum(p.numel() for p in net.parameters())
            for name, net in moving.items()
        }
        return sizes | {"circuit_parameters": self.named.circuit.weight.numel()}


def measure(config: DigitsConfig, context: Context) -> dict[str, Any]:
    """Runs all parts, and returns the result; writes it and arrays into the run folder."""
    config, images, parts = loaded(config, context, _quick)
    train, validation, test = parts
    nets = DigitNetworks(config, images.train_images.shape[-1], len(images.classes), context.seed)
    nets.static.to(context.device)
    nets.moving.to(context.device)
    loop = Loop(context.run, nets)
    started = context.start(config, described(images, parts))
    bench = Bench(
        circuit=nets.named.circuit,
        names=nets.named.names,
        classes=len(images.classes),
        train=train,
        validation=validation,
        test=test,
        streams=config.streams,
        seed=context.seed,
        thin=QUICK_THIN if context.quick else 1,
    )
    arrays = _Run(config, context, bench, nets, loop).all_parts()
    records = context.run.records()
    context.run.write_arrays(arrays | curves(records))
    measured = metrics(records)
    head = {"test_accuracy": measured[field(config.transforms[0], "short_term_accuracy")]}
    defaults = replace(config, transforms=DYNAMIC, models=MAIN) == DigitsConfig()
    evidence = defaults and not (context.quick or images.notice)
    found = claims(measured, config.transforms, config.models, evidence)
    return context.finish(started, loop, head | nets.sizes() | measured, found)


@dataclass(frozen=True)
class _Run:
    """A run's parts, one after the other."""

    config: DigitsConfig
    context: Context
    bench: Bench
    nets: DigitNetworks
    loop: Loop

    def all_parts(self) -> dict[str, Tensor]:
        """Runs all parts, and returns arrays for figures."""
        config, bench, seed = self.config, self.bench, self.context.seed
        arrays = {f"covered_{name}": TRANSFORMS[name].covered() for name in ("occlusion", "abrupt")}
        with fast_matmul():
            self.loop.run(Jobs("theory", theory.jobs(seed, config.theory_steps)))
            self.learn()
            for transform in config.transforms:
                self.compare(transform)
            records, first = self.context.run.records(), config.transforms[0]
            self.loop.run(Jobs("controls", jobs.control_jobs(bench, config.transforms, records)))

            def draw() -> list[Record]:
                arrays.update(pictures(bench, first, self.nets.learned_from(first), records))
                return []

            self.loop.recompute(Jobs("pictures", [draw], shared=False))
        return arrays

    def learn(self) -> None:
        """Trains on digits at rest: the circuit by spikes without labels, networks by gradients."""
        bench, nets, config = self.bench, self.nets, self.config
        images, path = bench.train.images, (self.context.seed, Stream.LEARNING)
        self.loop.run(SpikeLearning(bench.circuit, images, passes=config.passes, path=path))

        def name() -> list[Record]:
            bench.name_neurons(images.flatten(1).unsqueeze(1))
            return []

        self.loop.run(Jobs("names", [name], shared=False))
        for model, net in nets.static.items():
            self.train(net, "static", model, min(STATIC_EPOCHS, 5 * config.epochs))

    def compare(self, transform: str) -> None:
        """Chooses settings, trains networks on streams of a transform, and tests all."""
        bench, moving = self.bench, self.nets.learned_from(transform)
        self.loop.run(Jobs(f"settings-{transform}", jobs.settings_jobs(bench, transform)))
        for model, net in moving.items():
            self.train(net, transform, model, self.config.epochs)
        smoothing = jobs.smoothing_jobs(bench, transform, moving, self.context.run.records())
        self.loop.run(Jobs(f"smoothing-{transform}", smoothing))
        tests = jobs.test_jobs(
            bench,
            transform,
            moving,
            self.nets.static,
            records=self.context.run.records(),
            ratios=transform == self.config.transforms[0],
        )
        self.loop.run(Jobs(f"tests-{transform}", tests))

    def train(self, net: nn.Module, transform: str, model: str, epochs: int) -> None:
        """Trains a network on streams of a transform, or on digits at rest ("static")."""
        device = self.context.device
        train, validation = (
            Digits(*(part.to(device) for part in digits))
            for digits in (self.bench.train, self.bench.validation)
        )
        number = (*DYNAMIC, "static").index(transform), list(MODELS).index(model)
        course = TrainingCourse(
            train=train,
            validation=validation,
            transforms=AT_REST if transform == "static" else CONDITIONS[transform],
            epochs=epochs,
            streams=self.config.streams,
            window=MODELS[model].window,
            learning_rate=MODELS[model].learning_rate,
            path=(self.context.seed, Stream.TRAINING, *number),
        )
        self.loop.run(StreamTraining(f"{transform}-{model}", net, course))


def _quick(config: DigitsConfig) -> DigitsConfig:
    """Reduces settings to one transform, few digits and epochs: less than a minute on two cores."""
    return replace(
        config,
        transforms=config.transforms[:1],
        train_digits=min(400, config.train_digits),
        validation_digits=min(60, config.validation_digits),
        test_digits=min(60, config.test_digits),
        passes=1,
        epochs=1,
        streams=min(20, config.streams),
        theory_steps=min(400, config.theory_steps),
    )

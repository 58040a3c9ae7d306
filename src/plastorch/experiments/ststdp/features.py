"""Short-term STDP on features that tolerate: circuits and networks on pixels, and on pooled maps.

The maps are those of a network that learned by SoftHebb, without labels, from the still digits from
which the circuits learn.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from torch import nn

from plastorch.engine.device import fast_matmul
from plastorch.engine.errors import check_names
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.experiments.context import Context
from plastorch.experiments.models import field
from plastorch.experiments.preset_defaults import Count
from plastorch.experiments.ststdp.circuits import NamedCircuit
from plastorch.experiments.ststdp.contest import Contest, Films, Seen
from plastorch.experiments.ststdp.encoder import Encoder
from plastorch.experiments.ststdp.features_claims import RIVALS, claims
from plastorch.experiments.ststdp.features_jobs import Stage
from plastorch.experiments.ststdp.measuring import QUICK_THIN, Bench
from plastorch.experiments.ststdp.metrics import curves, metrics
from plastorch.experiments.ststdp.networks import WINDOWS, rivals
from plastorch.experiments.ststdp.screen import INPUTS, Screen
from plastorch.experiments.ststdp.sets import DigitSets, described, loaded
from plastorch.spiking.shortterm.learning import SpikeLearning
from plastorch.spiking.shortterm.streams import Learning, Stream

TRANSFORMS = ("occlusion", "rotation", "translation", "scale", "contrast")
MODELS = tuple(RIVALS)
"""Networks that learn by backpropagation from films of each transform, on both kinds of input."""


@dataclass(frozen=True)
class FeaturesConfig(DigitSets):
    """Settings of ststdp-features.

    Args:
        train_digits: number of digits to learn from.
        validation_digits: number of digits on which settings are chosen.
        test_digits: number of test digits.
        streams: number of streams that run side by side.
        transforms: transforms of the digits, one after the other.
        models: networks that learn by backpropagation from films of each transform, on pixels and
            on features; none if empty.
        passes: number of passes of the circuits over digits at rest.
        epochs: maximum number of epochs of the networks that learn by backpropagation.
    """

    transforms: tuple[str, ...] = TRANSFORMS
    models: tuple[str, ...] = MODELS
    passes: Count = 4
    epochs: Count = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("transforms", self.transforms, TRANSFORMS)
        if self.models:
            check_names("models", self.models, MODELS)


class FeatureNetworks(nn.Module):
    """The encoder, circuits by kind of input, and their rivals by transform and name."""

    def __init__(self, config: FeaturesConfig, side: int, classes: int, seed: int) -> None:
        super().__init__()
        self.encoder = Encoder(side, seed)
        sizes = {"pixels": side * side, "features": self.encoder.features}
        self.circuits = nn.ModuleDict(
            {
                kind: NamedCircuit(
                    sizes[kind], stream(seed, Stream.LEARNING, place, Learning.WEIGHTS)
                )
                for place, kind in enumerate(INPUTS)
            }
        )
        self.rivals = nn.ModuleDict(
            {
                name: rivals(
                    config.models, side, self.encoder.maps, classes, (seed, Stream.WEIGHTS, place)
                )
                for place, name in enumerate(TRANSFORMS)
                if name in config.transforms
            }
        )

    def circuit_on(self, kind: str) -> NamedCircuit:
        """Returns the circuit on a kind of input."""
        return cast(NamedCircuit, self.circuits[kind])

    def rivals_of(self, transform: str) -> dict[str, nn.Module]:
        """Returns the networks that learn from films of a transform."""
        return dict(cast(nn.ModuleDict, self.rivals[transform]).items())

    def sizes(self) -> dict[str, float]:
        """Returns the number of parameters of each model, as metrics."""
        nets = self.rivals_of(next(iter(self.rivals)))
        count = {name: sum(p.numel() for p in net.parameters()) for name, net in nets.items()}
        count |= {f"{k}-circuit": self.circuit_on(k).circuit.weight.numel() for k in INPUTS}
        return {field(name, "parameters"): float(number) for name, number in count.items()}


def measure(config: FeaturesConfig, context: Context) -> dict[str, Any]:
    """Runs all parts, and returns the result; writes it and arrays into the run folder."""
    config, images, parts = loaded(config, context, _quick)
    train, validation, test = parts
    nets = FeatureNetworks(config, images.train_images.shape[-1], len(images.classes), context.seed)
    nets.encoder.to(context.device)
    nets.rivals.to(context.device)
    loop = Loop(context.run, nets)
    started = context.start(config, described(images, parts))
    sets = {Stream.TRAINING: train, Stream.VALIDATION: validation, Stream.TEST: test}
    screen = Screen(encoder=nets.encoder, digits=sets, streams=config.streams, seed=context.seed)
    benches = {
        kind: Bench(
            circuit=nets.circuit_on(kind).circuit,
            names=nets.circuit_on(kind).names,
            classes=len(images.classes),
            train=train,
            validation=validation,
            test=test,
            streams=config.streams,
            seed=context.seed,
            thin=QUICK_THIN if context.quick else 1,
        )
        for kind in INPUTS
    }
    run = _Run(config=config, context=context, screen=screen, benches=benches, nets=nets, loop=loop)
    run.all_parts()
    records = context.run.records()
    context.run.write_arrays(curves(records))
    measured = metrics(records)
    ours = [measured[f"{name}_features_short_term_accuracy"] for name in config.transforms]
    head = {"test_accuracy": sum(ours) / len(ours)}
    evidence = replace(config, transforms=TRANSFORMS, models=MODELS) == FeaturesConfig()
    evidence = evidence and not (context.quick or images.notice)
    found = claims(measured, config.transforms, config.models, evidence)
    return context.finish(started, loop, head | nets.sizes() | measured, found)


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A run's parts, one after the other."""

    config: FeaturesConfig
    context: Context
    screen: Screen
    benches: dict[str, Bench]
    nets: FeatureNetworks
    loop: Loop

    def all_parts(self) -> None:
        """Runs all parts."""
        encoder, images = self.nets.encoder, self.screen.digits[Stream.TRAINING].images

        def habituate() -> list[Record]:
            encoder.habituate(images)
            return []

        with fast_matmul():
            self.loop.run(encoder.training_phase(images))
            encoder.eval()
            self.loop.run(Jobs("habituation", [habituate], shared=False))
            for kind in INPUTS:
                self.learn(kind)
            for transform in self.config.transforms:
                self.compare(transform)

    def learn(self, kind: str) -> None:
        """Lets a circuit learn from digits at rest, by spikes and without labels, and names it."""
        bench, train = self.benches[kind], self.screen.digits[Stream.TRAINING]
        encoder = self.nets.encoder if kind == "features" else None
        place = INPUTS.index(kind)
        learning = SpikeLearning(
            bench.circuit,
            train.images,
            passes=self.config.passes,
            path=(self.context.seed, Stream.LEARNING, place),
            encoder=encoder,
            name=f"learning-{kind}",
        )
        self.loop.run(learning)

        def name() -> list[Record]:
            frames = train.images.flatten(1).unsqueeze(1)
            bench.name_neurons(frames if encoder is None else encoder(frames))
            return []

        self.loop.run(Jobs(f"names-{kind}", [name], shared=False))

    def compare(self, transform: str) -> None:
        """Chooses settings, trains networks on films of a transform, and tests all."""
        nets, thin = self.nets.rivals_of(transform), self.benches["pixels"].thin
        stage = Stage(
            transform=transform,
            screen=self.screen,
            circuits=self.benches,
            nets=nets,
            encoder_macs=self.nets.encoder.macs,
        )
        self.loop.run(Jobs(f"settings-{transform}", stage.settings_jobs(thin)))
        records = self.context.run.records()
        self.loop.run(Jobs(f"finals-{transform}", stage.final_jobs(records)))
        place = TRANSFORMS.index(transform)

        def films(epoch: int) -> Iterator[Seen]:
            if epoch == 0:
                return iter(self.screen.kept(transform, Stream.VALIDATION))
            return self.screen.films(transform, Stream.TRAINING, place, epoch)

        if nets:
            shown = Films(shown=films, epochs=self.config.epochs)
            self.loop.run(Contest(f"contest-{transform}", nets, WINDOWS, shown))
        records = self.context.run.records()
        self.loop.run(Jobs(f"smoothing-{transform}", stage.smoothing_jobs(records, thin)))
        records = self.context.run.records()
        self.loop.run(Jobs(f"tests-{transform}", stage.test_jobs(records)))


def _quick(config: FeaturesConfig) -> FeaturesConfig:
    """Reduces settings to one transform, few digits and epochs: less than a minute on two cores."""
    return replace(
        config,
        transforms=config.transforms[-1:],
        train_digits=min(200, config.train_digits),
        validation_digits=min(40, config.validation_digits),
        test_digits=min(40, config.test_digits),
        passes=1,
        epochs=1,
        streams=min(20, config.streams),
    )

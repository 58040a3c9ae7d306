"""Photos behind a moving bar: what short-term plasticity adds to a network that sees one frame.

The network learned CIFAR-10's training photos by SoftHebb, and comes with the package; nothing here
has seen a film but one rival. A circuit has a neuron for each class, whose long-term weights are
the class's mean scores over still photos, in units of the photos' deviations. Its short-term
weights hold how the present photo deviates, so that it stays known while the bar hides it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from plastorch.data import ImageSet, load_images
from plastorch.data.tasks.streams import Transforms
from plastorch.engine.device import autocast, fast_matmul
from plastorch.engine.errors import InputError
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Claim, Record
from plastorch.engine.streams import stream
from plastorch.experiments.claims import above, asserted
from plastorch.experiments.context import Context
from plastorch.experiments.models import networks
from plastorch.experiments.preset_defaults import Count, Settings, Size
from plastorch.experiments.ststdp.contest import Contest, Films, Seen
from plastorch.experiments.ststdp.jobs import AVERAGES, Job, on_cpu
from plastorch.experiments.ststdp.measuring import figures, grid, tried
from plastorch.experiments.ststdp.metrics import curves, metrics, selected
from plastorch.experiments.ststdp.networks import RecurrentNet
from plastorch.hebbian.networks import SoftHebbNet
from plastorch.hebbian.pretrained import cards
from plastorch.spiking.shortterm.layer import ShortTermWTA
from plastorch.spiking.shortterm.recognition import Classify, Digits, followed, shown, smoothed
from plastorch.spiking.shortterm.rule import ShortTerm
from plastorch.spiking.shortterm.streams import Stream

NETWORK, BAR = "cifar10", "occlusion"
"""Names of the network of the package, and of what happens to photos."""
MOVING = Transforms(occlusion=0.7, noise=0.0)
SETTINGS = [
    replace(constants, score="distance")
    for constants in grid((2.0, 8.0, 32.0, 128.0), (0.3, 0.6, 1.0), (2.0, 4.0, 8.0, 16.0, 32.0))
]
"""κ, γ and τ among which validation films choose."""
RIDGE = 1e-3
"""Share of the mean variance that is added to each variance of scores."""
RIVALS: Mapping[str, int] = {"scores-gru": 64}
"""Rivals that learn from films, and their hidden sizes."""
TOGETHER = 50
"""Frames of which the network makes scores together."""


@dataclass(frozen=True)
class PhotosConfig(Settings):
    """Settings of ststdp-photos.

    All photos are test photos, which the network hasn't learned from.

    Args:
        learned_photos: number of photos to learn from: the circuit as stills, the network compared
            with it as films.
        validation_photos: number of photos on which settings are chosen.
        test_photos: number of photos to test with.
        streams: number of streams that run side by side.
        epochs: maximum number of epochs of the network compared with the circuit.
    """

    learned_photos: Count = 2000
    validation_photos: Count = 500
    test_photos: Count = 1000
    streams: Size = 20
    epochs: Count = 40

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("learned_photos", "validation_photos", "test_photos"):
            if getattr(self, name) < self.streams:
                raise InputError(
                    f"{name} is {getattr(self, name)}; expected {self.streams} or more: streams"
                )


def measure(config: PhotosConfig, context: Context) -> dict[str, Any]:
    """Runs all parts, and returns the result; writes it and arrays into the run folder."""
    images = load_images("cifar10", context.data)
    if images.notice:
        context.tell(images.notice)
    expected = cards()[NETWORK].classes
    if list(images.classes) != list(expected):
        raise InputError(f"data has classes {images.classes}; expected {expected}, the network's")
    if context.quick:
        config = _quick(config)
        context.tell("smoke run of few photos and epochs")
    photos = _split(images, config, context.seed)
    encoder = SoftHebbNet.from_pretrained(NETWORK).to(context.device)
    classes = len(images.classes)
    nets = networks(
        RIVALS,
        RIVALS,
        (context.seed, Stream.WEIGHTS),
        lambda name: RecurrentNet(nn.GRU(classes, RIVALS[name]), RIVALS[name], classes),
    ).to(context.device)
    loop = Loop(context.run, nets)
    sizes = {"n_train": len(photos[Stream.TRAINING].labels), "n_test": config.test_photos}
    started = context.start(config, images.description() | sizes)
    with fast_matmul():
        scores = _scores(encoder, photos[Stream.TRAINING].images)
        still = _scores(encoder, photos[Stream.TEST].images).argmax(1)
        circuit = Circuit.of(scores, photos[Stream.TRAINING].labels, classes)
        films: dict[Stream, list[Seen]] = {use: [] for use in photos}
        jobs = [
            partial(_add, films[use], _films(encoder, circuit, of, config, (context.seed, use)))
            for use, of in photos.items()
        ]
        counts = [len(of.labels) // config.streams for of in photos.values()]
        each = [job for job, count in zip(jobs, counts, strict=True) for _ in range(count)]
        loop.recompute(Jobs("films", each, shared=False))
    compared = _Comparison(
        circuit=circuit, rivals=dict(nets.items()), films=films, seed=context.seed
    )
    loop.run(Jobs("settings", compared.settings_jobs()))
    loop.run(compared.contest(config.epochs))
    loop.run(Jobs("tests", compared.test_jobs(context.run.records())))
    records = context.run.records()
    context.run.write_arrays(curves(records))
    right = float((still == photos[Stream.TEST].labels).double().mean())
    found = {"still_accuracy": right} | metrics(records)
    found = {"test_accuracy": found[f"{BAR}_short_term_accuracy"]} | found
    evidence = config == PhotosConfig() and not (context.quick or images.notice)
    return context.finish(started, loop, found, asserted(_claims(found), evidence))


class Circuit(NamedTuple):
    """Knowledge of still photos, on which a circuit stands."""

    weight: Tensor
    """Mean scores of each class [C, C], in :attr:`units`."""
    units: Tensor
    """Matrix [C, C] that turns scores into units in which photos of a class deviate alike."""

    @classmethod
    def of(cls, scores: Tensor, labels: Tensor, classes: int) -> "Circuit":
        """Learns from scores [N, C] of still photos and their labels [N]."""
        means = torch.stack([scores[labels == label].mean(0) for label in range(classes)])
        away = scores - means[labels]
        covariance = away.mT @ away / len(away)
        covariance.diagonal().add_(RIDGE * covariance.diagonal().mean())
        units = torch.linalg.inv(torch.linalg.cholesky(covariance)).mT
        return cls(means @ units, units)

    def classify(self, constants: ShortTerm) -> Classify:
        """Returns a classifier of whitened scores [T, S, C]: the circuit with these constants."""
        layer = ShortTermWTA(len(self.weight), len(self.weight), short_term=constants)
        with torch.no_grad():
            layer.weight.copy_(self.weight)
        return lambda x, state: layer(x, state)


def _split(images: ImageSet, config: PhotosConfig, seed: int) -> dict[Stream, Digits]:
    """Returns disjoint photos to learn from, to choose settings with, and to test."""
    counts = [config.learned_photos, config.validation_photos, config.test_photos]
    if sum(counts) > len(images.test_labels):
        raise InputError(
            f"photos are {sum(counts)}; expected at most {len(images.test_labels)}, the test photos"
        )
    order = torch.randperm(len(images.test_labels), generator=stream(seed, Stream.DIGITS))
    uses = Stream.TRAINING, Stream.VALIDATION, Stream.TEST
    rows = torch.split(order[: sum(counts)], counts)
    return {
        use: Digits(images.test_images[of].float() / 255, images.test_labels[of])
        for use, of in zip(uses, rows, strict=True)
    }


@torch.no_grad()
def _scores(encoder: SoftHebbNet, images: Tensor) -> Tensor:
    """Returns the network's class scores [N, C] of images [N, 3, H, W], on the CPU."""
    device = encoder.readout.weight.device
    with autocast("bf16", device):
        parts = [encoder(some.to(device)).float().cpu() for some in torch.split(images, TOGETHER)]
    return torch.cat(parts)


def _films(
    encoder: SoftHebbNet,
    circuit: Circuit,
    photos: Digits,
    config: PhotosConfig,
    path: tuple[int, ...],
) -> Iterator[Seen]:
    """Yields presentations: scores [T, S, C] as they are, and whitened. The three colors are films
    with the same random numbers, so that the bar is gray."""
    side = photos.images.shape[-1]
    colors = [
        shown(Digits(color, photos.labels), MOVING, streams=config.streams, path=path)
        for color in photos.images.unbind(1)
    ]
    for presentation in zip(*colors, strict=True):
        x = torch.stack([frames for frames, _ in presentation], dim=2)
        logits = _scores(encoder, x.view(-1, x.shape[2], side, side)).view(*x.shape[:2], -1)
        yield {"logits": logits, "scores": logits @ circuit.units}, presentation[0][1]


def _add(films: list[Seen], source: Iterator[Seen]) -> list[Record]:
    films.append(next(source))
    return []


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """A circuit and rivals that read the scores of the same films."""

    circuit: Circuit
    rivals: dict[str, nn.Module]
    films: Mapping[Stream, Sequence[Seen]]
    seed: int

    def settings_jobs(self) -> list[Job]:
        """Returns one job per setting: its accuracy on validation films."""

        def validate(model: str, kind: str, constants: ShortTerm, use: Classify) -> list[Record]:
            right = followed(use, self._shown(Stream.VALIDATION, kind))
            return [tried(BAR, model, constants, right)]

        jobs: list[Job] = [
            partial(validate, "short-term", "scores", constants, self.circuit.classify(constants))
            for constants in SETTINGS
        ]
        for tau in AVERAGES:
            constants, use = ShortTerm(tau=tau, site="none"), smoothed(_as_is, tau)
            jobs.append(partial(validate, "smoothed", "logits", constants, use))
        return jobs

    def contest(self, epochs: int) -> Contest:
        """Returns the training of the rivals, which see the films in another order each epoch."""
        known = self.films[Stream.TRAINING]

        def shown_in(epoch: int) -> Iterator[Seen]:
            if epoch == 0:
                return iter(self.films[Stream.VALIDATION])
            random = stream(self.seed, Stream.LEARNING, epoch)
            return (known[row] for row in torch.randperm(len(known), generator=random).tolist())

        films = Films(shown=shown_in, epochs=epochs)
        return Contest("contest", self.rivals, dict.fromkeys(self.rivals, 1), films)

    def test_jobs(self, records: Sequence[Record]) -> list[Job]:
        """Returns one job per reader, with the settings that validation films chose."""
        chosen = selected(records, BAR, "short-term")
        setting = chosen["kappa"], chosen["gamma"], chosen["tau"]
        constants = next(one for one in SETTINGS if (one.kappa, one.gamma, one.tau) == setting)
        tau = float(selected(records, BAR, "smoothed")["tau"])
        readers: list[tuple[str, str, Classify]] = [
            ("static", "logits", _as_is),
            ("smoothed", "logits", smoothed(_as_is, tau)),
            ("forgetful", "scores", self.circuit.classify(replace(constants, site="none"))),
            ("short-term", "scores", self.circuit.classify(constants)),
            *((name.split("-")[1], "scores", on_cpu(net)) for name, net in self.rivals.items()),
        ]

        def test(model: str, kind: str, use: Classify) -> list[Record]:
            found = figures(followed(use, self._shown(Stream.TEST, kind)))
            return [{"transform": BAR, "model": model, **found}]

        return [partial(test, *reader) for reader in readers]

    def _shown(self, use: Stream, kind: str) -> list[tuple[Tensor, Tensor]]:
        return [(seen[kind], labels) for seen, labels in self.films[use]]


def _as_is(x: Tensor, state: Any) -> tuple[Tensor, Any]:
    return x, state


def _claims(found: Mapping[str, float]) -> list[Claim]:
    def of(model: str) -> float:
        return found[f"{BAR}_{model}_accuracy"]

    ours = of("short_term")
    return [
        above(
            "above-forgetful",
            "above the same circuit without short-term plasticity",
            ours,
            of("forgetful"),
        ),
        above("above-static", "above the network's own readout", ours, of("static")),
        above(
            "above-smoothed",
            "above the moving average of the readout's answers",
            ours,
            of("smoothed"),
        ),
        above("above-gru", "above a GRU that was trained on labeled films", ours, of("gru")),
    ]


def _quick(config: PhotosConfig) -> PhotosConfig:
    """Reduces settings to few photos and epochs: less than a minute on two cores."""
    return replace(
        config,
        learned_photos=min(100, config.learned_photos),
        validation_photos=min(40, config.validation_photos),
        test_photos=min(40, config.test_photos),
        streams=min(20, config.streams),
        epochs=min(3, config.epochs),
    )

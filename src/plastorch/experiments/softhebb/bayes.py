"""Shallow SoftHebb: Bayesian inference, speed of learning, robustness and interpolation, measured.

Paper: Moraitis et al., *SoftHebb: Bayesian inference in unsupervised Hebbian soft winner-take-all
networks*, Neuromorph. Comput. Eng. 2 (2022) 044017.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.data import ImageSet, load_images
from plastorch.engine.device import check_memory, fast_matmul
from plastorch.engine.distributed import check_parts
from plastorch.engine.loop import Jobs, Loop
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.experiments.context import Context
from plastorch.experiments.preset_defaults import Count, Rate, Repeats, Settings, Size
from plastorch.experiments.softhebb.bayes_claims import accuracy_curve, claims, metrics
from plastorch.hebbian.analysis.filters import structure
from plastorch.hebbian.attacks import (
    Norm,
    attacked_accuracy,
    import_foolbox,
    interpolate,
    noise_accuracy,
    transferred_accuracy,
)
from plastorch.hebbian.mixtures import (
    HiddenCauses,
    compare,
    equilibrium_scores,
    learn_causes,
    untrained,
)
from plastorch.hebbian.shallow import (
    BackpropMlp,
    OnlineTraining,
    ShallowSoftHebb,
    activations,
    label_assignment_accuracy,
    softened,
    teacher_clamped_accuracy,
)
from plastorch.hebbian.streams import Stream

KINDS = ("soft", "hard", "backprop")
SIGMAS = tuple(i / 10 for i in range(11))
STRENGTHS: dict[Norm, tuple[float, ...]] = {
    "linf": tuple(i / 255 for i in (8, 16, 32, 48, 64, 96, 128)),
    "l2": (0.5, 1.0, 2.0, 3.0, 4.0, 5.0),
}
TEMPERATURES = {"mnist": (100.0, 50.0), "fashion-mnist": (400.0, 100.0)}
"""Inverse temperatures of the competition and of the readout's input: best on held-out images."""
INTERPOLATION_STRENGTHS = tuple(i / 2 for i in range(1, 25))
FEATURES = 20
"""Number of inputs of a world with known causes."""
PART = 250
"""Number of images that are attacked between two chances to stop."""

Job = Callable[[], list[Record]]


@dataclass(frozen=True)
class BayesConfig(Settings):
    """Settings of softhebb-bayes.

    Args:
        dataset: images to learn.
        neurons: number of hidden neurons in all networks.
        epochs: number of passes of the long-trained networks; the others see each image once.
        batch_size: images per update.
        hebbian_rate: largest change of a hidden SoftHebb weight per mini-batch, at the start.
        readout_rate: Adam's learning rate for the readout of a SoftHebb network.
        backprop_rate: Adam's learning rate for a network trained end to end.
        mixtures: number of synthetic worlds with known hidden causes.
        samples: number of inputs from each of them.
        attacked_images: number of test images that are attacked.
        attack_steps: gradient steps per attack.
        restarts: number of attempts per attacked image and strength.
    """

    dataset: Literal["mnist", "fashion-mnist"] = "mnist"
    neurons: Size = 2000
    epochs: Count = 10
    batch_size: Size = 32
    hebbian_rate: Rate = 0.06
    readout_rate: Rate = 0.03
    backprop_rate: Rate = 1e-3
    mixtures: Repeats = 20
    samples: Count = 300_000
    attacked_images: Count = 1000
    attack_steps: Count = 40
    restarts: Count = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_memory(8 * FEATURES * self.samples, samples=self.samples)
        self.check_neurons(0)

    def check_neurons(self, images: int) -> None:
        """Raises InputError if weights and activities for this many images don't fit in memory."""
        pixels, networks = 28**2, 9
        check_memory(4 * self.neurons * (networks * pixels + images), neurons=self.neurons)


class Judge(nn.Module):
    """Convolutional network trained end to end: surrogate for attacks, and judge of their images.

    Args:
        channels: channels of the images.
        height: height of the images, pixels.
        width: width of the images, pixels.
        classes: number of outputs.
    """

    def __init__(self, channels: int, height: int, width: int, classes: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, 16, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.readout = nn.Linear(32 * (height // 4) * (width // 4), classes)

    def forward(self, images: Tensor) -> Tensor:
        """Returns class scores (logits) [B, classes]."""
        logits: Tensor = self.readout(self.convolutions(images))
        return logits


class Networks(nn.Module):
    """All networks of a run: after one pass, retrained under a frozen readout, and after many.

    Args:
        config: settings with their sizes.
        images: images to learn.
        seed: random seed of their initial weights, equal for networks of a kind.
    """

    def __init__(self, config: BayesConfig, images: ImageSet, seed: int) -> None:
        super().__init__()
        channels, height, width = images.train_images.shape[1:]
        size = channels * height * width, config.neurons, len(images.classes)
        t, s = TEMPERATURES[config.dataset]

        def all_kinds() -> nn.ModuleDict:
            return nn.ModuleDict(
                {
                    "soft": ShallowSoftHebb(
                        *size, "soft", t, s, generator=stream(seed, Stream.WEIGHTS)
                    ),
                    "hard": ShallowSoftHebb(
                        *size, "hard", t, s, generator=stream(seed, Stream.WEIGHTS)
                    ),
                    "backprop": BackpropMlp(*size, generator=stream(seed, Stream.MLP_WEIGHTS)),
                }
            )

        self.once, self.again, self.long = all_kinds(), all_kinds(), all_kinds()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream(seed, Stream.JUDGE_WEIGHTS).initial_seed())
            self.judge = Judge(channels, height, width, len(images.classes))


def measure(config: BayesConfig, context: Context) -> dict[str, Any]:
    """Runs all parts; writes arrays and result into the run folder.

    Args:
        config: settings of the run.
        context: run folder, data, seed and device.

    Returns:
        The contents of ``result.json``.

    Raises:
        InputError: data or a checkpoint to resume are unusable, or foolbox is missing.
        Interrupted: the user stopped the run; its folder can be resumed.
    """
    check_parts(batch_size=config.batch_size)
    import_foolbox()  # the attacks come last: a missing library should not cost the training
    images = load_images(config.dataset, context.data)
    if context.quick:
        config, images = _quick(config, images, context.seed)
    config.check_neurons(len(images.train_images))
    if images.notice:
        context.tell(images.notice)
    images = _on_device(images, context.device)
    nets = Networks(config, images, context.seed).to(context.device)
    loop = Loop(context.run, nets)
    started = context.start(config, images.description())
    with fast_matmul():
        loop.run(Jobs("theory", _theory(config, context.seed)))
        _train(config, context.seed, images, nets, loop)
        loop.run(Jobs("readouts", _readouts(nets, images, context.seed)))
        loop.run(Jobs("robustness", _robustness(config, nets, images, context.seed)))
        arrays: dict[str, Tensor] = {}
        loop.recompute(Jobs("interpolation", _interpolation(config, nets, images, arrays), False))
    records = context.run.records()
    context.run.write_arrays(arrays | _arrays(nets, images, records))
    measured = metrics(records)
    ordinary = config == BayesConfig(dataset=config.dataset)
    found = claims(measured, evidence=ordinary and not (context.quick or images.notice))
    return context.finish(started, loop, measured, found)


def _theory(config: BayesConfig, seed: int) -> list[Job]:
    """Returns jobs that learn worlds of known hidden causes and compare with the truth."""

    def world(number: int) -> list[Record]:
        causes = HiddenCauses.draw(8, FEATURES, 12.0, number)
        before = compare(untrained(causes, 0.1, number), causes)
        after = compare(learn_causes(causes, config.samples, seed=number), causes)
        scores = equilibrium_scores(causes, seed=number)
        return [
            {
                "found": int(after.found),
                "kl_before": before.kl,
                "kl": after.kl,
                "cross_entropy_before": before.cross_entropy - before.entropy,
                "cross_entropy": after.cross_entropy - after.entropy,
                "posterior_distance": after.posterior_distance,
                "alignment": float(after.alignment.min()),
                "prior_error": float(after.prior_error.square().mean().sqrt()),
                "equilibrium_score": float(scores.square().mean().sqrt()),
            }
        ]

    return [partial(world, 1000 * seed + i) for i in range(config.mixtures)]


def _train(config: BayesConfig, seed: int, images: ImageSet, nets: Networks, loop: Loop) -> None:
    """Trains for one pass; the hidden layer again from its start under the readout; many passes."""

    def online(net: nn.Module, name: str, epochs: int, learn_readout: bool = True) -> None:
        hebbian = isinstance(net, ShallowSoftHebb)
        training = OnlineTraining(
            net,
            images.train_images,
            images.train_labels,
            images.test_images,
            images.test_labels,
            batch_size=config.batch_size,
            epochs=epochs,
            hebbian_rate=config.hebbian_rate,
            adam_rate=config.readout_rate if hebbian else config.backprop_rate,
            learn_readout=learn_readout,
            seed=seed,
            name=name,
        )
        loop.run(training)

    for kind in KINDS:
        once, again = nets.once[kind], nets.again[kind]
        online(once, f"once-{kind}", 1)
        readout = cast(nn.Linear, once.readout)
        cast(nn.Linear, again.readout).load_state_dict(readout.state_dict())
        online(again, f"again-{kind}", 1, learn_readout=False)
    for kind in KINDS:
        online(nets.long[kind], f"long-{kind}", config.epochs)
    online(nets.judge, "judge", 2)
    nets.requires_grad_(False)


def _readouts(nets: Networks, images: ImageSet, seed: int) -> list[Job]:
    """Trains readouts without gradients: label assignment, and a teacher-clamped output layer."""

    def read_out(which: str, kind: str) -> list[Record]:
        net = cast(ShallowSoftHebb, nets.get_submodule(f"{which}.{kind}"))
        train, test = activations(net, images.train_images), activations(net, images.test_images)
        labeled = train, images.train_labels, test, images.test_labels, len(images.classes)
        assigned = label_assignment_accuracy(*labeled)
        taught = teacher_clamped_accuracy(*labeled, seed=seed)
        return [
            {"network": f"{which}-{kind}", "label_assignment": assigned, "teacher_clamped": taught}
        ]

    return [
        partial(read_out, which, kind) for which in ("once", "long") for kind in ("soft", "hard")
    ]


def _robustness(config: BayesConfig, nets: Networks, images: ImageSet, seed: int) -> list[Job]:
    """Measures accuracy on noisy and attacked images in parts, weighted by their sizes."""
    count = min(config.attacked_images, len(images.test_images))
    parts = [
        (images.test_images[rows] / 255, images.test_labels[rows])
        for rows in torch.split(torch.arange(count), PART)
    ]
    subjects = {kind: nets.long[kind] for kind in KINDS}
    how = {"steps": config.attack_steps, "restarts": config.restarts, "seed": seed}

    def records(attack: str, kind: str, size: int, curve: dict[float, float]) -> list[Record]:
        return [
            {"attack": attack, "network": kind, "images": size, "strength": s, "accuracy": a}
            for s, a in curve.items()
        ]

    def noisy(kind: str) -> list[Record]:
        x, labels = images.test_images / 255, images.test_labels
        found = noise_accuracy(subjects[kind], x, labels, SIGMAS, seed)
        return records("noise", kind, len(x), dict(zip(SIGMAS, found, strict=True)))

    def attacked(kind: str, norm: Norm, x: Tensor, labels: Tensor) -> list[Record]:
        net = subjects[kind]
        clean = noise_accuracy(net, x, labels, [0], seed)
        sources = [net, softened(net)]
        found = attacked_accuracy(net, x, labels, norm, STRENGTHS[norm], through=sources, **how)
        curve = dict(zip((0.0, *STRENGTHS[norm]), clean + found, strict=True))
        return records(norm, kind, len(x), curve)

    def transferred(norm: Norm, x: Tensor, labels: Tensor) -> list[Record]:
        strengths = STRENGTHS[norm]
        found = transferred_accuracy(subjects, nets.judge, x, labels, norm, strengths, **how)
        made = []
        for kind, net in subjects.items():
            curve = noise_accuracy(net, x, labels, [0], seed) + found[kind]
            points = dict(zip((0.0, *strengths), curve, strict=True))
            made += records(f"transfer-{norm}", kind, len(x), points)
        return made

    jobs: list[Job] = [partial(noisy, kind) for kind in KINDS]
    for norm in STRENGTHS:
        for x, labels in parts:
            jobs += [partial(attacked, kind, norm, x, labels) for kind in KINDS]
            jobs.append(partial(transferred, norm, x, labels))
    return jobs


def _interpolation(
    config: BayesConfig, nets: Networks, images: ImageSet, arrays: dict[str, Tensor]
) -> list[Job]:
    """Makes images between two classes, and asks an independent network what it sees in them."""
    x, labels = images.test_images[: 2 * config.attacked_images] / 255, images.test_labels
    random = stream(0, Stream.TARGETS)
    shift = torch.randint(1, len(images.classes), (len(x),), generator=random).to(labels.device)
    sure = torch.ones(len(x), dtype=torch.bool, device=x.device)
    for kind in KINDS:
        sure &= nets.long[kind](x).argmax(dim=1) == labels[: len(x)]
    rows = sure.nonzero().flatten()[: max(1, config.attacked_images // 5)]
    if not len(rows):  # networks that agree on no image have nothing to compare
        return []
    x, source = x[rows], labels[rows]
    target = (source + shift[rows]) % len(images.classes)
    means = torch.stack(
        [
            images.train_images[images.train_labels == c].float().mean(0) / 255
            for c in range(len(images.classes))
        ]
    )

    def between(kind: str) -> list[Record]:
        net = nets.long[kind]
        made = interpolate(
            net, x, target, INTERPOLATION_STRENGTHS, config.attack_steps, [net, softened(net)]
        )
        crossed = made.crossing >= 0
        at = made.images[made.crossing.clamp(min=0), torch.arange(len(x), device=x.device)]
        judged = nets.judge(at).softmax(dim=1)
        seen = judged.gather(1, target[:, None])[:, 0]
        top2 = judged.topk(2, dim=1).indices.sort(dim=1).values
        pair = torch.stack([source, target], dim=1).sort(dim=1).values
        change, towards = (at - x).flatten(1), (means[target] - x).flatten(1)
        arrays[f"interpolated_{kind}"] = made.images[:, :6].cpu().contiguous()
        arrays[f"interpolated_{kind}_p"] = torch.stack(
            [made.source_probability[:, :6], made.target_probability[:, :6]]
        ).cpu()
        if not crossed.any():
            return [{"network": kind, "crossed": 0.0}]
        strength = torch.tensor(INTERPOLATION_STRENGTHS)[made.crossing[crossed].cpu()]
        return [
            {
                "network": kind,
                "crossed": float(crossed.float().mean()),
                "strength": float(strength.mean()),
                "judge_target": float(seen[crossed].mean()),
                "judge_both": float((top2 == pair).all(dim=1)[crossed].float().mean()),
                "direction": float(F.cosine_similarity(change, towards)[crossed].mean()),
            }
        ]

    arrays["interpolated_start"] = x[:6].cpu()
    arrays["interpolated_classes"] = torch.stack([source[:6], target[:6]]).cpu()
    return [partial(between, kind) for kind in KINDS]


def _arrays(nets: Networks, images: ImageSet, records: list[Record]) -> dict[str, Tensor]:
    """Returns arrays for the report: the soft network's weights as images, accuracy by strength."""
    net = cast(ShallowSoftHebb, nets.long["soft"])
    weight = net.hidden.weight.detach().view(-1, *images.train_images.shape[1:])
    order = structure(weight).argsort(descending=True, stable=True)
    arrays = {"filters": weight[order].cpu()}
    rows = [record for record in records if record["phase"] == "robustness"]
    for attack, kind in dict.fromkeys((str(row["attack"]), str(row["network"])) for row in rows):
        curve = accuracy_curve(rows, attack, kind)
        arrays[f"accuracy_{attack}_{kind}"] = torch.tensor([list(curve), list(curve.values())])
    return arrays


def _on_device(images: ImageSet, device: torch.device) -> ImageSet:
    return replace(
        images,
        train_images=images.train_images.to(device),
        train_labels=images.train_labels.to(device),
        test_images=images.test_images.to(device),
        test_labels=images.test_labels.to(device),
    )


def _quick(config: BayesConfig, images: ImageSet, seed: int) -> tuple[BayesConfig, ImageSet]:
    """Reduces settings to few neurons, images and attacks: less than a minute on two cores."""
    small = replace(
        config,
        neurons=min(200, config.neurons),
        epochs=min(2, config.epochs),
        mixtures=min(2, config.mixtures),
        samples=min(30_000, config.samples),
        attacked_images=min(100, config.attacked_images),
        attack_steps=min(10, config.attack_steps),
        restarts=1,
    )
    return small, images.few(5000, 1000, seed)

"""Measurements of ststdp-digits after its circuit has learned: settings, tests and controls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from plastorch.data.tasks.streams import TRANSFORMS, Transforms
from plastorch.engine.device import generator
from plastorch.engine.run import Record
from plastorch.experiments.ststdp.claims import FRAME_NETS, selected
from plastorch.spiking.shortterm.baselines import (
    Classify,
    Digits,
    nearest,
    recognize,
    shown,
    smoothed,
)
from plastorch.spiking.shortterm.events import Timing, encode, respond, spike_counts
from plastorch.spiking.shortterm.frames import run
from plastorch.spiking.shortterm.layer import ShortTermWTA
from plastorch.spiking.shortterm.rule import ShortTerm, class_scores, initial_state, unit

Job = Callable[[], list[Record]]

TIMING = Timing()
KAPPAS = (20.0, 40.0, 80.0)
GRIDS = {
    "static": [ShortTerm(kappa, site="none") for kappa in (10.0, *KAPPAS)],
    "short-term": [
        ShortTerm(*constants)
        for constants in product(KAPPAS, (0.1, 0.3, 0.6, 1.0), (2.0, 4.0, 8.0, 16.0))
    ],
    "neuron-trace": [
        ShortTerm(*constants, site="neuron")
        for constants in product(KAPPAS, (1.0, 2.0, 4.0, 8.0, 16.0), (1.0, 2.0, 4.0, 8.0))
    ],
    "presynaptic": [
        ShortTerm(*constants, site="presynaptic")
        for constants in product(KAPPAS, (0.03, 0.1, 0.3, 1.0), (2.0, 4.0, 8.0, 16.0))
    ],
    "spiking": [
        ShortTerm(*constants) for constants in product((80.0, 320.0), (0.03, 0.06), (0.4, 0.8, 1.6))
    ],
}
"""κ, γ and τ among which validation streams choose: the circuit without short-term plasticity, with
it, with that of neurons instead of synapses, with one that ignores who won; and spike by spike,
where γ is per output spike and τ in seconds."""
ACCUMULATING = ShortTerm(80.0, 0.3, 4.0, update="accumulate")
AVERAGES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Time constants of moving averages of class posteriors, in frames."""
RATIOS = tuple(2.0**i for i in range(-3, 4))
"""Ratios of τ to the chosen one."""
CONTROLS = {
    "new-digits": Transforms(frames=1),
    "static": TRANSFORMS["static"],
    "abrupt": TRANSFORMS["abrupt"],
}
"""Digits at rest, one per frame or for long, and a bar that appears at once."""


@dataclass(frozen=True)
class Bench:
    """The circuit and the data on which it is measured.

    Args:
        circuit: circuit with its long-term weights.
        names: class of each neuron [K].
        classes: number of classes C.
        train: digits that all models learned from.
        validation: digits that choose settings.
        test: digits of the figures.
        spiking: digits of ``validation`` and of ``test`` that are shown spike by spike.
        streams: number of streams S.
        seed: random seed of all streams.
        thin: divisor of the number of settings that are tried.
    """

    circuit: ShortTermWTA
    names: Tensor
    classes: int
    train: Digits
    validation: Digits
    test: Digits
    spiking: tuple[int, int]
    streams: int
    seed: int
    thin: int = 1

    def classify(self, constants: ShortTerm) -> Classify:
        """Returns the circuit with these constants; it decides for the class of largest share."""
        weight, bias = self.circuit.weight, torch.zeros_like(self.circuit.bias)

        def of_frames(x: Tensor, state: Any) -> tuple[Tensor, Any]:
            if state is None:
                state = initial_state(x.shape[1], weight, constants.site)
            y, state = run(unit(x), state, weight, bias, constants)
            return class_scores(y, self.names, self.classes), state

        return of_frames

    def classify_spiking(
        self, constants: ShortTerm, spikes: list[tuple[int, int]], *path: int
    ) -> Classify:
        """Returns the same spike by spike; it decides for the class that spikes most in a frame.

        Numbers of input and output spikes are added to ``spikes``.
        """
        weight, bias = self.circuit.weight, torch.zeros_like(self.circuit.bias)

        def of_frames(x: Tensor, state: Any) -> tuple[Tensor, Any]:
            frames, streams, _ = x.shape
            if state is None:
                state = initial_state(streams, weight)
            course = encode(x, TIMING, generator(self.seed, *path, len(spikes)))
            outputs, state = respond(
                course, state, weight, bias, constants=constants, timing=TIMING
            )
            spikes.append((len(course.times), len(course.moments)))
            counts = spike_counts(outputs, TIMING.frame, frames, len(weight))
            return class_scores(counts, self.names, self.classes), state

        return of_frames

    def validated(
        self, name: str, transforms: Transforms, model: str, constants: ShortTerm, use: Classify
    ) -> Record:
        """Measures accuracy on validation streams."""
        digits = _first(self.validation, self.spiking[0]) if model == "spiking" else self.validation
        right = recognize(use, digits, transforms, self.streams, (self.seed, 5))
        return {
            "transform": name,
            "model": model,
            "kappa": constants.kappa,
            "gamma": constants.gamma,
            "tau": constants.tau,
            "validation_accuracy": float(right.float().mean()),
        }

    def tested(self, name: str, transforms: Transforms, model: str, use: Classify) -> Record:
        """Measures figures on test streams, which are the same for all models."""
        digits = _first(self.test, self.spiking[1]) if model.startswith("spiking") else self.test
        right = recognize(use, digits, transforms, self.streams, (self.seed, 6))
        return {"transform": name, "model": model, **figures(right)}


def settings_jobs(bench: Bench, name: str) -> list[Job]:
    """Returns one job per circuit and setting: its accuracy on validation streams."""
    transforms = TRANSFORMS[name]

    def validate(model: str, constants: ShortTerm) -> list[Record]:
        use = bench.classify(constants)
        if model == "spiking":
            use = bench.classify_spiking(constants, [], 8)
        return [bench.validated(name, transforms, model, constants, use)]

    return [
        partial(validate, model, constants)
        for model, grid in GRIDS.items()
        for constants in grid[:: -bench.thin]
    ]


def smoothing_jobs(
    bench: Bench, name: str, nets: nn.ModuleDict, records: Sequence[Record]
) -> list[Job]:
    """Returns one job per model without memory and time constant of a moving average."""

    def validate(model: str, source: Classify, tau: float) -> list[Record]:
        use, constants = smoothed(source, tau), ShortTerm(tau=tau, site="none")
        return [bench.validated(name, TRANSFORMS[name], f"smoothed-{model}", constants, use)]

    return [
        partial(validate, model, source, tau)
        for model, source in _without_memory(bench, name, nets, records).items()
        for tau in AVERAGES[:: bench.thin]
    ]


def measurement_jobs(
    bench: Bench,
    name: str,
    nets: nn.ModuleDict,
    static: nn.ModuleDict,
    records: Sequence[Record],
    ratios: bool,
) -> list[Job]:
    """Returns one job per model: its figures on test streams.

    Args:
        bench: circuit and data.
        name: name of the transform.
        nets: networks that learned from the transform.
        static: networks that learned from digits at rest.
        records: records in which settings were chosen.
        ratios: whether to vary the time constant too.
    """
    best = chosen(records, name, "short-term")
    ours = {model: chosen(records, name, model) for model in GRIDS if model != "spiking"}
    ours |= {
        "accumulate": ACCUMULATING,
        "not-normalised": replace(best, score="dot"),
        "hard": replace(best, competition="hard"),
    }
    if ratios:
        ours |= {f"tau-{ratio:g}": replace(best, tau=best.tau * ratio) for ratio in RATIOS}
    subjects = {model: bench.classify(constants) for model, constants in ours.items()}
    subjects["nearest"] = nearest(bench.train, bench.classes)
    subjects |= {f"static-{model}": _on_cpu(net) for model, net in static.items()}
    subjects |= {model: _on_cpu(net) for model, net in nets.items()}
    for model, source in _without_memory(bench, name, nets, records).items():
        smooth = f"smoothed-{model}"
        subjects[smooth] = smoothed(source, float(selected(records, name, smooth)["tau"]))

    def test(model: str, use: Classify) -> list[Record]:
        return [bench.tested(name, TRANSFORMS[name], model, use)]

    return [
        *(partial(test, model, use) for model, use in subjects.items()),
        *_spiking_jobs(bench, name, chosen(records, name, "spiking")),
    ]


def control_jobs(bench: Bench, names: Sequence[str], records: Sequence[Record]) -> list[Job]:
    """Returns jobs of the circuit with and without short-term plasticity, with the chosen settings:
    where nothing changes, where change is abrupt, and where each digit begins at rest."""
    conditions = [(control, transforms, names[0]) for control, transforms in CONTROLS.items()]
    conditions += [
        (f"rest-{name}", replace(TRANSFORMS[name], rest=True), name)
        for name in names
        if name != "occlusion"  # has no other beginning
    ]

    def test(control: str, transforms: Transforms, settings: str, model: str) -> list[Record]:
        use = bench.classify(chosen(records, settings, model))
        return [bench.tested(control, transforms, model, use)]

    return [
        partial(test, *condition, model)
        for condition in conditions
        for model in ("static", "short-term")
    ]


def picture_job(
    bench: Bench,
    name: str,
    nets: nn.ModuleDict,
    records: Sequence[Record],
    arrays: dict[str, Tensor],
) -> list[Record]:
    """Records one stream: every fourth frame, the winner's expectation, now and at rest, shares of
    the classes and other networks' answers in all frames, and output spikes."""
    constants = chosen(records, name, "short-term")
    weight, bias = bench.circuit.weight, torch.zeros_like(bench.circuit.bias)
    presented = list(shown(_first(bench.test, 3), TRANSFORMS[name], 1, (bench.seed, 6)))
    x = torch.cat([frames for frames, _ in presented])
    state = initial_state(1, weight)
    posteriors, expected = [], []
    for frame in unit(x).unsqueeze(1):
        y, state = run(frame, state, weight, bias, constants)
        winner = y[0, 0].argmax()
        posteriors.append(y[0, 0])
        expected.append(weight[winner] + state.F[0, winner])
    winners = torch.stack(posteriors).argmax(1)
    size = (-1, *bench.test.images.shape[1:])
    arrays |= {
        "filters": weight.view(size).unsqueeze(1),
        "names": bench.names,
        "course_frames": x[::4].view(size),
        "course_expected": torch.stack(expected)[::4].view(size),
        "course_rest": weight[winners][::4].view(size),
        "course_labels": torch.cat([label.expand(len(frames)) for frames, label in presented]),
        "course_shares": class_scores(torch.stack(posteriors), bench.names, bench.classes),
    }
    others = {"static": bench.classify(chosen(records, name, "static"))}
    with torch.no_grad():
        for model, use in (others | {m: _on_cpu(net) for m, net in nets.items()}).items():
            arrays[f"course_answers_{model}"] = use(x, None)[0][:, 0].argmax(1)
    arrays |= _raster(bench, x, chosen(records, name, "spiking"))
    return []


def _raster(bench: Bench, x: Tensor, constants: ShortTerm) -> dict[str, Tensor]:
    """Returns output spikes of one stream of frames [T, 1, D]."""
    weight = bench.circuit.weight
    state = initial_state(1, weight)
    course = encode(x, TIMING, generator(bench.seed, 9))
    outputs, _ = respond(
        course,
        state,
        weight,
        torch.zeros_like(bench.circuit.bias),
        constants=constants,
        timing=TIMING,
    )
    return {"raster_times": outputs.times, "raster_neurons": outputs.source}


def chosen(records: Sequence[Record], name: str, model: str) -> ShortTerm:
    """Returns the circuit's constants that validation streams chose."""
    row = selected(records, name, model)
    setting = row["kappa"], row["gamma"], row["tau"]
    return next(one for one in GRIDS[model] if (one.kappa, one.gamma, one.tau) == setting)


def figures(right: Tensor) -> Record:
    """Returns accuracy, that in the middle half of a presentation, frames until a digit is first
    recognized, and the accuracy of each frame since its onset, of frames [P, T, S].

    Example:
        >>> figures(torch.tensor([False, True]).view(1, 2, 1))
        {'accuracy': 0.5, 'middle': 0.5, 'recovery': 1.0, 'at_0': 0.0, 'at_1': 1.0}
    """
    frames = right.shape[1]
    course = right.float().mean((0, 2))
    not_yet = right.int().cummax(1).values == 0
    return {
        "accuracy": float(course.mean()),
        "middle": float(course[frames // 4 : frames - frames // 4].mean()),
        "recovery": float(not_yet.sum(1).float().mean()),
        **{f"at_{t}": float(value) for t, value in enumerate(course)},
    }


def _spiking_jobs(bench: Bench, name: str, constants: ShortTerm) -> list[Job]:
    """Returns jobs of the spiking circuit and its cost, with and without short-term plasticity."""

    def test(model: str, used: ShortTerm) -> list[Record]:
        spikes: list[tuple[int, int]] = []
        use = bench.classify_spiking(used, spikes, 8)
        record = bench.tested(name, TRANSFORMS[name], model, use)
        frames = bench.spiking[1] // bench.streams * bench.streams * TRANSFORMS[name].frames
        inputs, outputs = (sum(numbers) / frames for numbers in zip(*spikes, strict=True))
        changes = outputs * bench.circuit.weight.shape[1] if used.site == "synapse" else 0.0
        costs = {"input_spikes": inputs, "output_spikes": outputs, "synaptic_updates": changes}
        return [record | costs]

    both = {"spiking": constants, "spiking-static": replace(constants, site="none")}
    return [partial(test, model, used) for model, used in both.items()]


def _without_memory(
    bench: Bench, name: str, nets: nn.ModuleDict, records: Sequence[Record]
) -> dict[str, Classify]:
    """Returns networks that see one frame at a time, by name; all give logits."""
    static = bench.classify(chosen(records, name, "static"))

    def logits(x: Tensor, state: Any) -> tuple[Tensor, Any]:
        shares, state = static(x, state)
        return shares.clamp(min=1e-30).log(), state

    return {"static": logits} | {m: _on_cpu(nets[m]) for m in FRAME_NETS if m in nets}


def _on_cpu(net: nn.Module) -> Classify:
    """Wraps a network so that inputs and outputs are on the CPU, wherever it is itself."""
    device = next(net.parameters()).device

    def of_frames(x: Tensor, state: Any) -> tuple[Tensor, Any]:
        scores, state = net(x.to(device), state)
        return scores.cpu(), state

    return of_frames


def _first(digits: Digits, count: int) -> Digits:
    return Digits(digits.images[:count], digits.labels[:count])

"""The circuit that has learned, and the streams of digits on which it is measured."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor

from plastorch.data.tasks.streams import TRANSFORMS, Transforms
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.spiking.naming import class_scores, name_neurons
from plastorch.spiking.shortterm.course import encode
from plastorch.spiking.shortterm.events import respond, spike_counts
from plastorch.spiking.shortterm.layer import ShortTermWTA
from plastorch.spiking.shortterm.recognition import Classify, Digits, recognize
from plastorch.spiking.shortterm.rule import ShortTerm, Site, initial_state
from plastorch.spiking.shortterm.streams import Stream

DYNAMIC = ("occlusion", "rotation", "translation", "scale", "contrast", "mixed")
"""Transforms of the comparison."""
CONTROLS = ("new-digits", "static", "abrupt")
"""Digits at rest, one per frame or for long, and a bar that appears at once."""
AT_REST = Transforms(frames=1)
"""Each digit for one frame, unchanged except for noise."""
CONDITIONS = {
    **TRANSFORMS,
    "new-digits": AT_REST,
    # Each digit begins at rest; under occlusion it always does.
    **{f"rest-{name}": replace(TRANSFORMS[name], rest=True) for name in DYNAMIC[1:]},
}


def grid(
    kappas: Sequence[float],
    gammas: Sequence[float],
    taus: Sequence[float],
    site: Site = "synapse",
) -> list[ShortTerm]:
    """Returns all combinations of constants."""
    return [ShortTerm(*numbers, site=site) for numbers in product(kappas, gammas, taus)]


KAPPAS = (20.0, 40.0, 80.0)
GRIDS = {
    "static": [ShortTerm(kappa, site="none") for kappa in (10.0, *KAPPAS)],
    "short-term": grid(KAPPAS, (0.1, 0.3, 0.6, 1.0), (2.0, 4.0, 8.0, 16.0)),
    "neuron-trace": grid(KAPPAS, (1.0, 2.0, 4.0, 8.0, 16.0), (1.0, 2.0, 4.0, 8.0), "neuron"),
    "presynaptic": grid(KAPPAS, (0.03, 0.1, 0.3, 1.0), (2.0, 4.0, 8.0, 16.0), "presynaptic"),
    "spiking-static": [ShortTerm(kappa, site="none") for kappa in (10.0, *KAPPAS, 120.0, 320.0)],
    "spiking": grid((120.0, 320.0), (0.005, 0.01, 0.02, 0.04), (0.4, 0.8, 1.6)),
}
"""κ, γ and τ among which validation streams choose: the circuit without short-term plasticity, with
it, with that of neurons instead of synapses, with one that ignores who won; and spike by spike
without and with it, where γ is per output spike and τ in seconds."""


QUICK_THIN = 16
"""Divisor of the number of settings that a smoke run tries."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The circuit and the data on which it is measured.

    ``names`` has the class of each neuron [K]; validation digits choose settings, test digits give
    figures. ``thin`` divides the number of settings that are tried.
    """

    circuit: ShortTermWTA
    names: Tensor
    classes: int
    train: Digits
    validation: Digits
    test: Digits
    streams: int
    seed: int
    thin: int = 1

    def with_constants(self, constants: ShortTerm) -> ShortTermWTA:
        """Returns the circuit with these constants, frozen; it shares the weights."""
        circuit = copy.copy(self.circuit).eval()
        circuit.short_term = constants
        return circuit

    def name_neurons(self, frames: Tensor) -> None:
        """Names each neuron by the training digits that it wins, of which ``frames`` [N, 1, D] are
        the inputs."""
        best = self.with_constants(ShortTerm(site="none", competition="hard"))
        won, _ = best(frames)
        self.names.copy_(name_neurons(won.squeeze(1), self.train.labels, self.classes))

    def classify(self, constants: ShortTerm) -> Classify:
        """Returns the circuit with these constants; it decides for the class of largest share."""
        circuit = self.with_constants(constants)

        def of_frames(x: Tensor, state: Any) -> tuple[Tensor, Any]:
            y, state = circuit(x, state)
            return class_scores(y, self.names, self.classes), state

        return of_frames

    def classify_spiking(self, constants: ShortTerm, spikes: list[tuple[int, int]]) -> Classify:
        """Returns the same spike by spike; it decides for the class that spikes most in a frame.

        Numbers of input and output spikes are added to ``spikes``.
        """
        weight, timing = self.circuit.weight, self.circuit.timing

        def of_frames(x: Tensor, state: Any) -> tuple[Tensor, Any]:
            state = initial_state(x.shape[1], weight) if state is None else state
            course = encode(x, timing, stream(self.seed, Stream.SPIKES, len(spikes)))
            bias = torch.zeros(len(weight))
            outputs, state = respond(
                course, state, weight, bias, constants=constants, timing=timing
            )
            spikes.append((len(course.times), len(course.moments)))
            counts = spike_counts(outputs, timing.frame, len(x), len(weight))
            return class_scores(counts, self.names, self.classes), state

        return of_frames

    def validated(self, condition: str, model: str, constants: ShortTerm, use: Classify) -> Record:
        """Measures accuracy on validation streams."""
        right = self._recognized(condition, self.validation, use, Stream.VALIDATION)
        return tried(condition, model, constants, right)

    def tested(self, condition: str, model: str, use: Classify) -> Record:
        """Measures figures on test streams, which are the same for all models."""
        right = self._recognized(condition, self.test, use, Stream.TEST)
        return {"transform": condition, "model": model, **figures(right)}

    def _recognized(self, condition: str, digits: Digits, use: Classify, name: Stream) -> Tensor:
        path = (self.seed, name)
        return recognize(use, digits, CONDITIONS[condition], streams=self.streams, path=path)


def tried(transform: str, model: str, constants: ShortTerm, right: Tensor) -> Record:
    """Returns a setting and its accuracy on frames of validation streams [P, T, S]."""
    return {
        "transform": transform,
        "model": model,
        "kappa": constants.kappa,
        "gamma": constants.gamma,
        "tau": constants.tau,
        "validation_accuracy": float(right.float().mean()),
    }


def figures(right: Tensor) -> Record:
    """Returns accuracy, that in the middle half of a presentation, frames until a digit is first
    recognized, and the accuracy of each frame since its onset, of frames [P, T, S]."""
    frames = right.shape[1]
    course = right.float().mean((0, 2))
    not_yet = right.int().cummax(1).values == 0
    return {
        "accuracy": float(course.mean()),
        "middle": float(course[frames // 4 : frames - frames // 4].mean()),
        "recovery": float(not_yet.sum(1).float().mean()),
        **{f"at_{t}": float(value) for t, value in enumerate(course)},
    }

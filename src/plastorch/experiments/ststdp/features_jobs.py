"""Jobs of ststdp-features: settings on validation films, and tests with what they cost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from plastorch.engine.run import Record
from plastorch.experiments.ststdp.jobs import AVERAGES, on_cpu
from plastorch.experiments.ststdp.measuring import Bench, figures, grid, tried
from plastorch.experiments.ststdp.metrics import selected
from plastorch.experiments.ststdp.networks import multiply_accumulates
from plastorch.experiments.ststdp.screen import INPUTS, Screen
from plastorch.spiking.shortterm.recognition import Classify, followed, smoothed
from plastorch.spiking.shortterm.rule import ShortTerm
from plastorch.spiking.shortterm.streams import Stream

Job = Callable[[], list[Record]]

KAPPAS = (40.0, 80.0, 160.0, 320.0)
SETTINGS = {
    "static": [ShortTerm(kappa, site="none") for kappa in KAPPAS],
    "short-term": grid(KAPPAS, (0.3, 0.6, 1.0), (4.0, 8.0, 16.0, 32.0)),
    "spiking": grid((120.0, 320.0, 1280.0), (0.005, 0.01, 0.02, 0.04), (0.4, 0.8, 1.6)),
}
"""κ, γ and τ among which validation films choose, the same for pixels and features: without
short-term plasticity, with it, and spike by spike, where γ is per output spike and τ in seconds."""
TRIAL, FINALISTS = 5, 6
"""Spiking settings take longest: all are tried on one of so many validation films, and so many of
the best on all films."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Films of a transform, circuits by kind of input, and networks that learned from such films,
    by name; ``encoder_macs`` are the multiply-accumulates of the encoder per frame."""

    transform: str
    screen: Screen
    circuits: Mapping[str, Bench]
    nets: Mapping[str, nn.Module]
    encoder_macs: float

    def settings_jobs(self, thin: int) -> list[Job]:
        """Returns one job per circuit and setting; ``thin`` divides the number of settings."""
        return [
            partial(self._trial if model == "spiking" else self._validate, kind, model, constants)
            for model, settings in SETTINGS.items()
            for kind in INPUTS
            for constants in settings[::-thin]
        ]

    def final_jobs(self, records: Sequence[Record]) -> list[Job]:
        """Returns one job per spiking setting that was among the best in its trial."""
        trials = [r for r in records if "trial_accuracy" in r and r["transform"] == self.transform]
        trials.sort(key=lambda row: -float(row["trial_accuracy"]))
        jobs: list[Job] = []
        for kind in INPUTS:
            best = [row for row in trials if row["model"] == f"{kind}-spiking"][:FINALISTS]
            settings = [_setting(row, "spiking") for row in best]
            jobs += [partial(self._validate, kind, "spiking", constants) for constants in settings]
        return jobs

    def _validate(self, kind: str, model: str, constants: ShortTerm) -> list[Record]:
        films = self.screen.frames(self.transform, Stream.VALIDATION, kind)
        right = followed(self._circuit(kind, model, constants), films)
        return [tried(self.transform, f"{kind}-{model}", constants, right)]

    def _trial(self, kind: str, model: str, constants: ShortTerm) -> list[Record]:
        films = self.screen.frames(self.transform, Stream.VALIDATION, kind)
        right = followed(self._circuit(kind, model, constants), films[: -(-len(films) // TRIAL)])
        record = tried(self.transform, f"{kind}-{model}", constants, right)
        return [record | {"trial_accuracy": record.pop("validation_accuracy")}]

    def smoothing_jobs(self, records: Sequence[Record], thin: int) -> list[Job]:
        """Returns one job per model without memory and time constant of a moving average."""

        def validate(name: str, source: Classify, tau: float) -> list[Record]:
            kind = name.split("-")[0]
            films = self.screen.frames(self.transform, Stream.VALIDATION, kind)
            right = followed(smoothed(source, tau), films)
            constants = ShortTerm(tau=tau, site="none")
            return [tried(self.transform, f"{name}-smoothed", constants, right)]

        return [
            partial(validate, name, source, tau)
            for name, source in self._without_memory(records).items()
            for tau in AVERAGES[::thin]
        ]

    def test_jobs(self, records: Sequence[Record]) -> list[Job]:
        """Returns one job per model: its figures on test films, and its cost per frame."""

        def test(name: str, use: Classify, cost: Callable[[Tensor], Record]) -> list[Record]:
            films = self.screen.frames(self.transform, Stream.TEST, name.split("-")[0])
            found = figures(followed(use, films)) | cost(films[0][0])
            return [{"transform": self.transform, "model": name, **found}]

        return [partial(test, *subject) for subject in self._subjects(records)]

    def _subjects(
        self, records: Sequence[Record]
    ) -> Iterator[tuple[str, Classify, Callable[[Tensor], Record]]]:
        """Yields name, classifier and cost of each model."""
        for kind in INPUTS:
            for model in SETTINGS:
                constants = self.chosen(records, kind, model)
                cost = partial(self._spikes, kind, constants)
                yield f"{kind}-{model}", self._circuit(kind, model, constants), cost
        for name, net in self.nets.items():
            yield name, on_cpu(net), partial(self._products, name)
        for name, source in self._without_memory(records).items():
            tau = float(selected(records, self.transform, f"{name}-smoothed")["tau"])
            yield f"{name}-smoothed", smoothed(source, tau), lambda x: {}

    def chosen(self, records: Sequence[Record], kind: str, model: str) -> ShortTerm:
        """Returns the constants of a circuit that validation films chose."""
        return _setting(selected(records, self.transform, f"{kind}-{model}"), model)

    def _circuit(self, kind: str, model: str, constants: ShortTerm) -> Classify:
        bench = self.circuits[kind]
        spiking = model == "spiking"
        return bench.classify_spiking(constants, []) if spiking else bench.classify(constants)

    def _without_memory(self, records: Sequence[Record]) -> dict[str, Classify]:
        """Returns models that see one frame at a time, by name; all give logits."""

        def logits(static: Classify) -> Classify:
            def of_frames(x: Tensor, state: Any) -> tuple[Tensor, Any]:
                shares, state = static(x, state)
                return shares.clamp(min=1e-30).log(), state

            return of_frames

        circuits = {
            f"{kind}-static": logits(
                self._circuit(kind, "static", self.chosen(records, kind, "static"))
            )
            for kind in INPUTS
        }
        nets = {name: on_cpu(net) for name, net in self.nets.items() if name.endswith("cnn")}
        return circuits | nets

    def _spikes(self, kind: str, constants: ShortTerm, x: Tensor) -> Record:
        """Returns expected spikes and changes of synapses per frame, for frames like ``x``."""
        circuit = self.circuits[kind].circuit
        timing = circuit.timing
        outputs = timing.output_rate * timing.frame
        return {
            "input_spikes": timing.input_rate * timing.frame * float(x.sum(-1).mean()),
            "output_spikes": outputs,
            "synaptic_updates": outputs * circuit.in_features if constants.site != "none" else 0.0,
            "encoder_macs": self.encoder_macs if kind == "features" else 0.0,
        }

    def _products(self, name: str, x: Tensor) -> Record:
        device = next(self.nets[name].parameters()).device
        return {
            "macs": multiply_accumulates(self.nets[name], x.to(device)),
            "encoder_macs": self.encoder_macs if name.startswith("features") else 0.0,
        }


def _setting(row: Record, model: str) -> ShortTerm:
    """Returns the constants that a record is of."""
    setting = row["kappa"], row["gamma"], row["tau"]
    return next(one for one in SETTINGS[model] if (one.kappa, one.gamma, one.tau) == setting)

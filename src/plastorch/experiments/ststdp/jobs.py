"""Jobs of ststdp-digits after its circuit has learned: settings, tests and controls."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from plastorch.engine.run import Record
from plastorch.experiments.ststdp.claims import FRAME_NETS
from plastorch.experiments.ststdp.measuring import CONDITIONS, CONTROLS, GRIDS, Bench
from plastorch.experiments.ststdp.metrics import selected
from plastorch.experiments.ststdp.networks import nearest
from plastorch.spiking.shortterm.recognition import Classify, smoothed
from plastorch.spiking.shortterm.rule import ShortTerm

Job = Callable[[], list[Record]]

ACCUMULATING = ShortTerm(80.0, 0.3, 4.0, update="accumulate")
AVERAGES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Time constants of moving averages of class posteriors, in frames."""
SPIKING = ("spiking", "spiking-static")
"""The circuit spike by spike, with and without short-term plasticity."""
RATIOS = tuple(2.0**i for i in range(-3, 4))
"""Ratios of τ to the chosen one."""


def settings_jobs(bench: Bench, name: str) -> list[Job]:
    """Returns one job per circuit and setting: its accuracy on validation streams."""

    def validate(model: str, constants: ShortTerm) -> list[Record]:
        spiking = model in SPIKING
        use = bench.classify_spiking(constants, []) if spiking else bench.classify(constants)
        return [bench.validated(name, model, constants, use)]

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
        return [bench.validated(name, f"smoothed-{model}", constants, use)]

    return [
        partial(validate, model, source, tau)
        for model, source in _without_memory(bench, name, nets, records).items()
        for tau in AVERAGES[:: bench.thin]
    ]


def test_jobs(
    bench: Bench,
    name: str,
    nets: nn.ModuleDict,
    static: nn.ModuleDict,
    *,
    records: Sequence[Record],
    ratios: bool,
) -> list[Job]:
    """Returns one job per model: its figures on test streams.

    The networks ``nets`` learned from the transform, ``static`` from digits at rest; settings were
    chosen in ``records``. ``ratios`` says whether to vary the time constant too.
    """
    best = chosen(records, name, "short-term")
    ours = {model: chosen(records, name, model) for model in GRIDS if model not in SPIKING}
    ours |= {
        "accumulate": ACCUMULATING,
        "not-normalized": replace(best, score="dot"),
        "hard": replace(best, competition="hard"),
    }
    if ratios:
        ours |= {f"tau-{ratio:g}": replace(best, tau=best.tau * ratio) for ratio in RATIOS}
    subjects = {model: bench.classify(constants) for model, constants in ours.items()}
    subjects["nearest"] = nearest(bench.train, bench.classes)
    subjects |= {f"static-{model}": on_cpu(net) for model, net in static.items()}
    subjects |= {model: on_cpu(net) for model, net in nets.items()}
    for model, source in _without_memory(bench, name, nets, records).items():
        smooth = f"smoothed-{model}"
        subjects[smooth] = smoothed(source, float(selected(records, name, smooth)["tau"]))
    spiking = _spiking_jobs(bench, name, {model: chosen(records, name, model) for model in SPIKING})
    return [*_tests(bench, name, subjects), *spiking]


def control_jobs(bench: Bench, names: Sequence[str], records: Sequence[Record]) -> list[Job]:
    """Returns jobs of the circuit with and without short-term plasticity, with the chosen settings:
    where nothing changes, where change is abrupt, and where each digit begins at rest."""
    conditions = dict.fromkeys(CONTROLS, names[0])
    conditions |= {f"rest-{name}": name for name in names if f"rest-{name}" in CONDITIONS}
    return [
        job
        for condition, name in conditions.items()
        for model in ("static", "short-term")
        for job in _tests(bench, condition, {model: bench.classify(chosen(records, name, model))})
    ]


def chosen(records: Sequence[Record], name: str, model: str) -> ShortTerm:
    """Returns the circuit's constants that validation streams chose."""
    row = selected(records, name, model)
    setting = row["kappa"], row["gamma"], row["tau"]
    return next(one for one in GRIDS[model] if (one.kappa, one.gamma, one.tau) == setting)


def on_cpu(net: nn.Module) -> Classify:
    """Wraps a network so that inputs and outputs are on the CPU, wherever it is itself."""
    device = next(net.parameters()).device

    def of_frames(x: Tensor, state: Any) -> tuple[Tensor, Any]:
        scores, state = net(x.to(device), state)
        return scores.cpu(), state

    return of_frames


def _tests(bench: Bench, condition: str, subjects: Mapping[str, Classify]) -> Iterable[Job]:
    def test(model: str, use: Classify) -> list[Record]:
        return [bench.tested(condition, model, use)]

    return [partial(test, model, use) for model, use in subjects.items()]


def _spiking_jobs(bench: Bench, name: str, constants: Mapping[str, ShortTerm]) -> list[Job]:
    """Returns jobs of the spiking circuit and its cost, with and without short-term plasticity."""

    def test(model: str, used: ShortTerm) -> list[Record]:
        spikes: list[tuple[int, int]] = []
        record = bench.tested(name, model, bench.classify_spiking(used, spikes))
        digits = len(bench.test.labels) // bench.streams * bench.streams
        frames = digits * CONDITIONS[name].frames
        inputs, outputs = (sum(numbers) / frames for numbers in zip(*spikes, strict=True))
        changes = outputs * bench.circuit.in_features if used.site == "synapse" else 0.0
        costs = {"input_spikes": inputs, "output_spikes": outputs, "synaptic_updates": changes}
        return [record | costs]

    return [partial(test, model, used) for model, used in constants.items()]


def _without_memory(
    bench: Bench, name: str, nets: nn.ModuleDict, records: Sequence[Record]
) -> dict[str, Classify]:
    """Returns networks that see one frame at a time, by name; all give logits."""
    static = bench.classify(chosen(records, name, "static"))

    def logits(x: Tensor, state: Any) -> tuple[Tensor, Any]:
        shares, state = static(x, state)
        return shares.clamp(min=1e-30).log(), state

    return {"static": logits} | {m: on_cpu(nets[m]) for m in FRAME_NETS if m in nets}

"""Arrays of pictures of ststdp-digits: one stream of digits, seen by the circuit and by others."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from plastorch.data.tasks.streams import TRANSFORMS
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.experiments.ststdp.jobs import chosen, on_cpu
from plastorch.experiments.ststdp.measuring import Bench
from plastorch.spiking.naming import class_scores
from plastorch.spiking.shortterm.course import encode
from plastorch.spiking.shortterm.events import respond
from plastorch.spiking.shortterm.recognition import shown
from plastorch.spiking.shortterm.rule import ShortTerm, initial_state
from plastorch.spiking.shortterm.streams import Stream


def pictures(
    bench: Bench, name: str, nets: nn.ModuleDict, records: Sequence[Record]
) -> dict[str, Tensor]:
    """Returns every fourth frame, the winner's expectation, now and at rest, shares of the classes
    and other networks' answers in all frames, and output spikes.

    The networks learned from the transform of that name; settings were chosen in ``records``.
    """
    circuit = bench.with_constants(chosen(records, name, "short-term"))
    path = (bench.seed, Stream.PICTURES)
    presented = list(shown(bench.test.first(3), TRANSFORMS[name], streams=1, path=path))
    x = torch.cat([frames for frames, _ in presented])
    state, posteriors, expected = None, [], []
    for frame in x.unsqueeze(1):
        y, state = circuit(frame, state)
        winner = y[0, 0].argmax()
        posteriors.append(y[0, 0])
        expected.append(circuit.weight[winner] + state.F[0, winner])
    winners = torch.stack(posteriors).argmax(1)
    size = (-1, *bench.test.images.shape[1:])
    uses = {"static": bench.classify(chosen(records, name, "static"))}
    uses |= {model: on_cpu(net) for model, net in nets.items()}
    with torch.no_grad():
        answers = {
            f"course_answers_{model}": use(x, None)[0][:, 0].argmax(1)
            for model, use in uses.items()
        }
    return {
        "filters": circuit.weight.detach().view(size).unsqueeze(1),
        "names": bench.names,
        "course_frames": x[::4].view(size),
        "course_expected": torch.stack(expected)[::4].view(size),
        "course_rest": circuit.weight.detach()[winners][::4].view(size),
        "course_labels": torch.cat([label.expand(len(frames)) for frames, label in presented]),
        "course_shares": class_scores(torch.stack(posteriors), bench.names, bench.classes),
        **answers,
        **_raster(bench, x, chosen(records, name, "spiking")),
    }


def _raster(bench: Bench, x: Tensor, constants: ShortTerm) -> dict[str, Tensor]:
    """Returns output spikes of one stream of frames [T, 1, D]."""
    weight, timing = bench.circuit.weight, bench.circuit.timing
    course = encode(x, timing, stream(bench.seed, Stream.RASTER))
    outputs, _ = respond(
        course,
        initial_state(1, weight),
        weight,
        torch.zeros(len(weight)),
        constants=constants,
        timing=timing,
    )
    return {"raster_times": outputs.times, "raster_neurons": outputs.source}

"""Short-term plasticity frame by frame and spike by spike, and how its circuit learns."""

from typing import Any

import torch
from kernel_fuzz import Hostile
from torch import Tensor

from plastorch.spiking.shortterm import course as courses
from plastorch.spiking.shortterm import events
from plastorch.spiking.shortterm import frames as compiled
from plastorch.spiking.shortterm.course import SpikeCourse, SpikeTiming
from plastorch.spiking.shortterm.layer import ShortTermWTA
from plastorch.spiking.shortterm.learning import SpikeLearning
from plastorch.spiking.shortterm.longterm import LongTerm, LongTermState
from plastorch.spiking.shortterm.rule import ShortTerm, ShortTermState

torch.set_default_dtype(torch.float64)  # kernels are compiled for it by other tests

TIMING = SpikeTiming(frame=0.02)
SIZES = [1, 2, 5, 9, 40]


def _course(hostile: Hostile, streams: int = 2, inputs: int = 9, frames: int = 3) -> SpikeCourse:
    values = torch.rand(frames, streams, inputs, generator=hostile.torch)
    return courses.encode(values, TIMING, hostile.torch)


def _state(streams: int = 2, neurons: int = 5, inputs: int = 9) -> ShortTermState:
    return ShortTermState(torch.rand(streams, neurons, inputs), torch.rand(streams, inputs))


def _unlearned(networks: int = 2, neurons: int = 5, inputs: int = 9) -> LongTermState:
    weight = torch.rand(networks, neurons, inputs)
    return LongTermState(weight, torch.zeros(networks, neurons), torch.zeros(networks, neurons))


def _circuit(neurons: int = 5, inputs: int = 9) -> tuple[Tensor, Tensor]:
    return torch.rand(neurons, inputs), torch.zeros(neurons)


def _constants(hostile: Hostile) -> ShortTerm:
    choose = hostile.random.choice
    return ShortTerm(
        update=choose(["track", "accumulate"]),
        competition=choose(["soft", "hard"]),
        score=choose(["cosine", "dot", "distance"]),
    )


def _sizes(hostile: Hostile) -> list[int]:
    return [hostile.random.choice(SIZES) for _ in range(3)]


def encode(hostile: Hostile) -> Any:
    values = hostile.damaged(torch.rand(3, 2, 9))
    course = courses.encode(values, TIMING, hostile.torch)
    return course._replace(scale=course.scale.double())  # NumPy has no bfloat16


def respond(hostile: Hostile) -> Any:
    given = (_course(hostile), _state(), *_circuit())
    given, constants = hostile.damaged(given), _constants(hostile)
    return events.respond(*given, constants=constants, timing=TIMING)


def respond_from_foreign_parts(hostile: Hostile) -> Any:
    streams, neurons, inputs = _sizes(hostile)
    ours = (_course(hostile), _state(), *_circuit())
    others = (_course(hostile, streams, inputs), _state(streams, neurons, inputs))
    given = hostile.mixed(ours, (*others, *_circuit(neurons, inputs)))
    return events.respond(*given, constants=_constants(hostile), timing=TIMING)


def learn(hostile: Hostile) -> Any:
    course, trace, state = hostile.damaged((_course(hostile), torch.rand(2, 9), _unlearned()))
    score = _constants(hostile).score
    return events.learn(course, trace, state, LongTerm(score=score), TIMING)


def learn_from_foreign_parts(hostile: Hostile) -> Any:
    streams, neurons, inputs = _sizes(hostile)
    ours, others = (
        (_course(hostile, s, d), torch.rand(s, d), _unlearned(s, k, d))
        for s, k, d in ((2, 5, 9), (streams, neurons, inputs))
    )
    return events.learn(*hostile.mixed(ours, others), LongTerm(), TIMING)


def frames(hostile: Hostile) -> Any:
    given = torch.rand(3, 2, 9), _state(), *_circuit()
    with torch.no_grad():
        posteriors, state = compiled.run(*hostile.damaged(given), _constants(hostile))
    return posteriors, state.F


def frames_from_foreign_parts(hostile: Hostile) -> Any:
    ours, others = (
        (torch.rand(3, s, d), _state(s, k, d), *_circuit(k, d))
        for s, k, d in ((2, 5, 9), _sizes(hostile))
    )
    posteriors, state = compiled.run(*hostile.mixed(ours, others), _constants(hostile))
    return posteriors, state.F


def winner_take_all(hostile: Hostile) -> Any:
    net = ShortTermWTA(9, 5, short_term=_constants(hostile))
    hostile.tampered(net)
    given = hostile.damaged((torch.rand(3, 2, 9), _state()))
    with torch.no_grad():  # torch's own way, where a gradient is asked for, passes a NaN on
        posteriors, state = net(*given)
    return posteriors, state.F


def learning(hostile: Hostile) -> Any:
    phase = _learning()
    phase.step()
    phase.load_state_dict(hostile.damaged(phase.state_dict()))
    return phase.step(), phase.state, list(phase.net.parameters())


def learning_from_a_foreign_state(hostile: Hostile) -> Any:
    phase, (neurons, side, _) = _learning(), _sizes(hostile)
    states = phase.state_dict(), _learning(neurons, min(side, 9)).state_dict()
    phase.load_state_dict(hostile.mixed(*states))
    return phase.step(), phase.state, list(phase.net.parameters())


def _learning(neurons: int = 5, side: int = 3) -> SpikeLearning:
    images = torch.rand(20, side, side)
    net = ShortTermWTA(side * side, neurons, timing=TIMING)
    return SpikeLearning(net, images, passes=1, path=(0,), together=10)


def constants(hostile: Hostile) -> Any:
    timing = {"input_rate": 100.0, "output_rate": 200.0, "trace_tau": 0.015, "frame": 0.02}
    circuit = {"kappa": 80.0, "gamma": 0.6, "tau": 0.1}
    longterm_constants = {"rate": 0.1, "decline": 50.0, "homeostasis": 0.2, "kappa": 80.0}
    timing, circuit, slow = hostile.damaged((timing, circuit, longterm_constants))
    own = SpikeTiming(**timing), ShortTerm(**circuit), LongTerm(**slow)
    course, given = _course(hostile), (_state(), *_circuit())
    answered = events.respond(course, *given, constants=own[1], timing=own[0])
    learned = events.learn(course, torch.rand(2, 9), _unlearned(), own[2], own[0])
    return answered, learned, ShortTermWTA(9, 5, short_term=own[1])(torch.rand(3, 2, 9))

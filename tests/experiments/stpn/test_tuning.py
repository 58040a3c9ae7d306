"""The choice of a learning rate: copies that start alike, and the best on validation data."""

from pathlib import Path

import torch
from torch import nn

from plastorch.engine.loop import Loop
from plastorch.engine.phases import Phase
from plastorch.engine.run import Record, RunFolder
from plastorch.experiments.stpn.tuning import Trial, best, shown, tried, with_copies

COURSES = {0.1: [0.2, 0.6, 0.5], 0.3: [0.3, 0.4, 0.6]}


class Course(Phase):
    """A training whose validation accuracies are known."""

    def __init__(self, name: str, rate: float) -> None:
        super().__init__(name, 3)
        self.rate = rate

    def step(self) -> list[Record]:
        accuracy = COURSES[self.rate][self.position]
        self.position += 1
        return [{"phase": self.name, "epoch": self.position, "validation_accuracy": accuracy}]


def test_copies_start_alike_and_learn_apart() -> None:
    model = nn.Linear(2, 2)
    nets = with_copies(nn.ModuleDict({"rnn": model}), (0.1, 0.3))
    assert list(nets) == ["rnn", "tuning-rnn-0", "tuning-rnn-1"] and nets["rnn"] is model
    assert all(torch.equal(net.get_parameter("weight"), model.weight) for net in nets.values())
    nn.init.zeros_(nets["tuning-rnn-0"].get_parameter("weight"))
    assert model.weight.any() and nets["tuning-rnn-1"].get_parameter("weight").any()
    assert list(with_copies(nn.ModuleDict({"rnn": model}), ())) == ["rnn"]


def test_each_rate_is_tried_and_the_best_place_of_its_course_counts(tmp_path: Path) -> None:
    for _ in range(2):  # the second time, all is in the checkpoint and in the log
        loop = Loop(RunFolder(tmp_path), nn.Linear(1, 1))
        trials = tried("rnn", tuple(COURSES), Course, loop, place="epoch")
        assert trials == [Trial("rnn", 0.1, 2, 0.6), Trial("rnn", 0.3, 3, 0.6)]
    assert best(trials) == trials[0]
    assert shown(trials[:1], "reward") == [
        {"model": "rnn", "learning_rate": 0.1, "steps": 2, "reward": 0.6}
    ]
    assert best([*trials, Trial("rnn", 1.0, 1, 0.7)]).learning_rate == 1.0
    assert tried("rnn", (), Course, loop, place="epoch") == []
    assert len(RunFolder(tmp_path).records()) == 6

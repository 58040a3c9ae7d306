"""The course of learning from its log."""

import torch

from plastorch.hebbian import HebbianTraining, SoftHebbNet, preset
from plastorch.hebbian.analysis.convergence import convergence


def test_the_log_of_a_training_becomes_a_course_per_layer() -> None:
    net = SoftHebbNet(preset("cifar10", 2, "quarter"), 3, 16, 2)
    images = torch.randint(0, 256, (60, 3, 16, 16), dtype=torch.uint8)
    training = HebbianTraining(net, images, log_every=2)
    rows = [row for _ in range(training.total) for row in training.step()]
    courses = convergence([*rows, {"phase": "readout", "epoch": 1}])
    assert list(courses) == [0, 1]
    for layer, course in courses.items():
        mine = [row for row in rows if row["layer"] == layer]
        assert course.examples.tolist() == [row["examples"] for row in mine]
        shares = [float(row["r1_neurons"]) / float(row["neurons"]) for row in mine]
        assert course.r1_share.tolist() == shares
        assert course.distance.tolist() == [row["radius_distance"] for row in mine]
        assert course.rate.tolist() == [row["rate_mean"] for row in mine]


def test_the_later_entry_counts_and_order_is_by_examples() -> None:
    def row(examples: int, settled: int) -> dict[str, float | str]:
        return {
            "phase": "unsupervised", "layer": 1, "examples": examples, "r1_neurons": settled,
            "neurons": 4, "radius_distance": 1.0, "rate_mean": 0.1,
        }  # fmt: skip

    (course,) = convergence([row(20, 1), row(10, 0), row(20, 2)]).values()
    assert course.examples.tolist() == [10, 20] and course.r1_share.tolist() == [0, 0.5]
    assert convergence([]) == {}

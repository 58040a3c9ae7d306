"""Names of neurons, scores of classes and numbers of spikes, against loops."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plastorch.engine.errors import InputError
from plastorch.spiking import Events, class_scores, count_spikes, name_neurons

LABELS = torch.tensor([0, 2, 2, 1])


@given(seed=st.integers(0, 10**6))
def test_names_and_scores_against_loops(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    answers = torch.randint(5, (4, 6), generator=random).float()
    answers[:, 5] = 0
    names, scores = name_neurons(answers, LABELS, 3), torch.zeros(4, 3)
    for k in range(6):
        votes = [float(answers[c == LABELS, k].sum()) for c in range(3)]
        assert int(names[k]) == (votes.index(max(votes)) if any(votes) else -1)
        for i in range(4):
            if names[k] >= 0:
                scores[i, names[k]] += answers[i, k]
    assert torch.equal(class_scores(answers, names, 3), scores)


def test_spikes_are_counted_by_network_and_neuron() -> None:
    source, offsets = torch.tensor([1, 1, 0, 2, 2, 2]), torch.tensor([0, 2, 2, 6])
    events = Events(torch.arange(6).double(), source, offsets)
    assert count_spikes(events, 4).tolist() == [[0, 2, 0, 0], [0, 0, 0, 0], [1, 0, 3, 0]]


@pytest.mark.parametrize("kind", [torch.uint8, torch.int32])
def test_labels_and_answers_of_other_types(kind: torch.dtype) -> None:
    """Whether a neuron spiked counts as 0 or 1."""
    fired = torch.tensor([[1, 0], [0, 1], [0, 1], [1, 0]]).bool()
    names = name_neurons(fired, LABELS.to(kind), 3)
    assert torch.equal(names, name_neurons(fired.float(), LABELS, 3))
    assert torch.equal(class_scores(fired, names, 3), class_scores(fired.float(), names, 3))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: name_neurons(torch.ones(4, 2), LABELS, 2), "labels go from 0 to 2; expected 0 to"),
        (lambda: name_neurons(torch.ones(4, 2), LABELS - 1, 3), "labels go from -1 to 1"),
        (
            lambda: name_neurons(torch.ones(4, 2), LABELS.float(), 3),
            "labels are torch.float32; exp",
        ),
        (
            lambda: class_scores(torch.ones(1, 2), torch.tensor([0, 7]), 3),
            "names go from 0 to 7; expected -1 to 2",
        ),
        (lambda: name_neurons(torch.ones(3, 2), LABELS, 3), r"shape \(4,\) and answers \(3, 2\)"),
        (
            lambda: count_spikes(
                Events(torch.ones(1).double(), LABELS[1:2], torch.tensor([0, 1])), 2
            ),
            "source goes from 2 to 2",
        ),
    ],
)
def test_bad_input(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()

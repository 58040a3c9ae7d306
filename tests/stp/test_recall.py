"""Networks and training at multi-query associative recall."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from plastorch.data.tasks.recall import Recall, recall_set
from plastorch.engine.streams import stream
from plastorch.learning.phases import run_phase
from plastorch.stp.baselines import LSTM, DeltaNet
from plastorch.stp.recall import RecallNet, RecallTraining, recall_accuracy

SIZES: dict[str, Any] = {"steps": 14, "pairs": 2, "vocabulary": 8}


def draw(update: int, samples: int = 16) -> Recall:
    return recall_set(samples, stream(7, update), **SIZES)


def net(core: type[nn.Module] = DeltaNet, layers: int = 1) -> RecallNet:
    torch.manual_seed(0)
    return RecallNet([core(12, 6) for _ in range(layers)], 8, 12)


def test_scores_are_those_of_a_plain_loop() -> None:
    """Each step mixes its normalized activity with that of the step before, 0 at first."""
    model: Any = net(LSTM, layers=2)
    recall = draw(0, 3)
    scores, answers = model(*recall)
    found = []
    for symbols in recall.sequences:
        x = list(model.embedding.weight[symbols])
        for block in model.blocks:
            n = [torch.zeros(12), *(F.layer_norm(x_t, (12,)) for x_t in x)]
            mixed = [block.mix(torch.cat([n[t], n[t - 1]])) for t in range(1, len(n))]
            output, _ = block.core(torch.stack(mixed).unsqueeze(1))
            y = [block.out[1](F.layer_norm(h_t, (6,))) for h_t in output[:, 0]]
            x = [x_t + y_t for x_t, y_t in zip(x, y, strict=True)]
        found.append([model.readout(F.layer_norm(x_t, (12,))) for x_t in x])
    asked = [(t, n) for t in range(14) for n in range(3) if recall.answers[n, t] >= 0]
    assert torch.allclose(scores, torch.stack([found[n][t] for t, n in asked]), atol=1e-5)
    assert answers.tolist() == [int(recall.answers[n, t]) for t, n in asked]


def test_an_update_is_adam_on_clipped_gradients_at_a_falling_rate() -> None:
    learner, twin = net(), net()
    phase = RecallTraining(
        "x", learner, draw=draw, validation=draw(9), updates=4, learning_rate=0.1
    )
    optimizer = torch.optim.Adam(twin.parameters())
    for update in range(3):
        phase.step()
        scores, answers = twin(*draw(update))
        loss = -scores.log_softmax(1)[torch.arange(len(answers)), answers].mean()
        optimizer.zero_grad()
        loss.backward()
        gradients = [p.grad.flatten() for p in twin.parameters() if p.grad is not None]
        norm = torch.cat(gradients).norm()
        for parameter in twin.parameters():
            assert parameter.grad is not None
            parameter.grad /= max(1.0, float(norm))
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - update / 4)
        optimizer.step()
    for one, other in zip(learner.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_every_fiftieth_update_and_the_last_are_logged() -> None:
    model, validation = net(), draw(9, 40)
    phase = RecallTraining(
        "x", model, draw=draw, validation=validation, updates=54, learning_rate=0.02
    )
    rows = run_phase(phase)
    assert [row["step"] for row in rows] == [50, 54]
    right = recall_accuracy(model, validation, batch_size=33)
    assert rows[-1]["validation_accuracy"] == right


def test_no_answer_depends_on_what_comes_later() -> None:
    model, recall = net(layers=2), draw(0)
    later = recall.sequences.clone()
    later[:, 9:] = 0
    early = recall.answers.clone()
    early[:, 9:] = -1
    one, other = model(recall.sequences, early)[0], model(later, early)[0]
    assert len(one) and torch.equal(one, other)

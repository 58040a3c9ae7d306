"""Training on sequences that ask for one answer."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from plastorch.data.tasks.retrieval import SYMBOLS, Retrieval, one_hot, retrieval_sets
from plastorch.learning.phases import run_phase
from plastorch.stp import STPN
from plastorch.stp.baselines import RNN
from plastorch.stp.train import AnswerNet, AnswerTraining, answer_accuracy, mean_energy


def training(net: AnswerNet) -> AnswerTraining:
    return phase_of(net, retrieval_sets(0, (70, 20), 2), epochs=3, batch_size=16)


def phase_of(net: AnswerNet, sets: list[Retrieval], epochs: int, batch_size: int) -> AnswerTraining:
    train, validation = ((part.sequences, part.answers) for part in sets)
    return AnswerTraining(
        "stpn",
        net,
        encode=one_hot,
        train=train,
        validation=validation,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=0.01,
    )


def net(seed: int = 0) -> AnswerNet:
    torch.manual_seed(seed)
    return AnswerNet(STPN(SYMBOLS, 8), 8, SYMBOLS)


def test_a_linear_schedule_falls_from_epoch_to_epoch() -> None:
    learner, twin = net(), net()
    phase, constant = training(learner), training(twin)
    phase.schedule = "linear"
    rates = []
    while phase.position < phase.total:
        phase.step()
        rates.append(phase.optimizer.param_groups[0]["lr"])
        constant.step()
        same = torch.equal(learner.readout.weight, twin.readout.weight)
        assert same == (phase.position == 1)  # only the first epoch has the whole rate
    assert rates == pytest.approx([0.01, 0.01 * 2 / 3, 0.01 / 3])
    assert constant.optimizer.param_groups[0]["lr"] == 0.01


def test_an_epoch_is_adam_on_full_batches_in_order() -> None:
    learner, twin = net(), net()
    phase = training(learner)
    (record,) = phase.step()
    optimizer, losses, right = torch.optim.Adam(twin.parameters(), 0.01), [], 0
    sequences, answers = phase.train
    for first in (0, 16, 32, 48):
        x = F.one_hot(sequences[first : first + 16].long(), SYMBOLS).float().transpose(0, 1)
        scores = twin(x)
        loss = F.cross_entropy(scores, answers[first : first + 16])
        losses.append(loss.item())
        right += int((scores.argmax(1) == answers[first : first + 16]).sum())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for one, other in zip(learner.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    assert abs(float(record["loss"]) - sum(losses) / 4) < 1e-6
    assert record["train_accuracy"] == right / 64 and record["epoch"] == 1


def test_going_on_from_a_state_gives_the_same_bits() -> None:
    whole = training(net())
    run_phase(whole)
    first = training(net())
    first.step()
    state = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    second_net = net(1)
    second_net.load_state_dict(first.net.state_dict())
    second = training(second_net)
    second.position = first.position
    second.load_state_dict(state)
    second.step()
    second.step()
    for one, other in zip(whole.net.parameters(), second_net.parameters(), strict=True):
        assert torch.equal(one, other)


def test_bias_that_is_not_trained_stays() -> None:
    torch.manual_seed(0)
    learner = AnswerNet(RNN(SYMBOLS, 8), 8, SYMBOLS)
    training(learner).step()
    assert not learner.core.network.bias_hh_l0.any()


def test_accuracy_and_energy_are_means_over_all_batches() -> None:
    learner = net()
    (data,) = retrieval_sets(1, (50,), 2)
    x = one_hot(data.sequences)
    expected = float((learner(x).argmax(1) == data.answers).double().mean())
    assert answer_accuracy(learner, one_hot, *data, batch_size=15) == expected
    energy: Tensor = learner.core.energy(x)
    found = mean_energy(learner, one_hot, data.sequences, batch_size=15)
    assert abs(found - float(energy.sum(-1).mean())) < 1e-5


def test_it_learns_to_repeat() -> None:
    """One pair: the answer is the only value there was."""
    torch.manual_seed(0)
    learner = AnswerNet(STPN(SYMBOLS, 12), 12, SYMBOLS)
    phase = phase_of(learner, retrieval_sets(0, (2000, 200), 1), epochs=6, batch_size=32)
    assert float(run_phase(phase)[-1]["validation_accuracy"]) > 0.9

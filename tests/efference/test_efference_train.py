"""Pre-training: what a step is, what it logs, that it learns, and that it goes on after a stop."""

import math
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from plastorch.efference.actions import Views
from plastorch.efference.encoders import small_resnet
from plastorch.efference.method import Weights
from plastorch.efference.methods import BYOL, ReLIC, SimCLR
from plastorch.efference.optim import Training
from plastorch.efference.streams import TrainingStream
from plastorch.efference.train import Learner, Pretraining, Sources
from plastorch.engine.checkpoint import load_checkpoint, save_checkpoint
from plastorch.engine.errors import InputError
from plastorch.engine.run import Record
from plastorch.engine.streams import stream
from plastorch.learning.phases import run_phase


class Shift(NamedTuple):
    by: Tensor


class Shifts(Views):
    """Views of rows of pixels, moved to the right by 0 to 3, the end following the start."""

    def sample(self, count: int, generator: torch.Generator, device: Any = "cpu") -> Shift:
        return Shift(torch.randint(0, 4, (count,), generator=generator).to(device))

    def apply(self, sources: Tensor, actions: Shift) -> Tensor:
        columns = torch.arange(sources.shape[-1]) - actions.by[:, None]
        columns = columns.remainder(sources.shape[-1])[:, None, None].expand_as(sources)
        return sources.gather(3, columns).float() / 255


class Moves:
    factors = ("by", "more")

    def targets(self, a: Shift, b: Shift) -> Tensor:
        return torch.stack([(b.by - a.by) % 4, (b.by > a.by).long()], dim=1)


def sources(count: int = 40, seed: int = 0) -> Sources:
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 8, 8), generator=random, dtype=torch.uint8)
    return Sources(images, torch.arange(count) % 3)


def learner(kind: Any = SimCLR, weights: Weights = Weights(1.0, 1.0), seed: int = 0) -> Learner:  # noqa: B008
    torch.manual_seed(seed)
    encoder = nn.Sequential(small_resnet(2), nn.Dropout(0.1))
    return Learner(kind(encoder, 8, (4, 2), weights, hidden=6, out=4), 8, 3)


def phase(made: Learner, given: Sources | None = None, **more: Any) -> Pretraining:
    settings: dict[str, Any] = {"batches": 7, "batch_size": 8, "every": 3, "warm_up": 2} | {
        name: more.pop(name) for name in list(more) if name in Training.__dataclass_fields__
    }
    options: dict[str, Any] = {"copies": Moves()} | more
    return Pretraining(
        "pair", made, given or sources(), Shifts(), Training(**settings), path=(3,), **options
    )


def same(one: nn.Module, other: nn.Module) -> bool:
    state = other.state_dict()
    return all(torch.equal(value, state[name]) for name, value in one.state_dict().items())


def test_a_step_is_an_update_of_each_batch_and_logs_means() -> None:
    made, twin, given = learner(), learner(), sources()
    records = run_phase(phase(made, learning_rate=0.5, probe_rate=0.2, weight_decay=0.01))
    weights = [p for p in twin.method.parameters() if p.requires_grad and p.dim() > 1]
    others = [p for p in twin.method.parameters() if p.requires_grad and p.dim() == 1]
    groups = [{"params": weights, "weight_decay": 0.01}, {"params": others}]
    optimizer = torch.optim.SGD(groups, 0.1, momentum=0.9)
    of_probe = torch.optim.SGD(twin.probe.parameters(), 0.1, momentum=0.9, weight_decay=0.01)
    losses, probes, hits = [], [], []
    for number in range(7):
        epoch, place = divmod(number, 5)
        order = torch.randperm(40, generator=stream(3, TrainingStream.ORDER, epoch))
        rows = order[8 * place : 8 * place + 8]
        random = stream(3, TrainingStream.VIEWS, number)
        a, b = Shifts().sample(8, random), Shifts().sample(8, random)
        view_a, view_b = (Shifts().apply(given.images[rows], actions) for actions in (a, b))
        course = (number + 1) / 2 if number < 2 else (1 + math.cos(math.pi * (number - 2) / 5)) / 2
        for group in optimizer.param_groups:
            group["lr"] = course * 0.5 * 8 / 256
        of_probe.param_groups[0]["lr"] = course * 0.2
        torch.manual_seed(stream(3, TrainingStream.DROPOUT, number, 0).initial_seed())
        found = twin.method(view_a, view_b, Moves().targets(a, b), Moves().targets(b, a))
        logits, labels = twin.probe(found.features), given.labels[rows].repeat(2)
        wrong = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        of_probe.zero_grad()
        (found.total + wrong).backward()
        optimizer.step()
        of_probe.step()
        losses.append(found)
        probes.append(float(wrong.detach()))
        hits.append(float((logits.argmax(dim=1) == labels).float().mean()))
    for one, other in zip(made.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    assert [record["batch"] for record in records] == [3, 6, 7]
    first = records[0]
    assert first["step"] == 1 and first["phase"] == "pair" and first["seconds"]
    for name, of in (("loss", "total"), ("discrimination", ""), ("manipulation", "")):
        expected = sum(float(getattr(each, of or name).detach()) for each in losses[:3]) / 3
        assert first[name] == pytest.approx(expected, rel=1e-5)
    for k, name in enumerate(("by", "more")):
        each = [float(found.per_factor[k]) for found in losses[:3]]
        assert first[f"loss_{name}"] == pytest.approx(sum(each) / 3, rel=1e-5)
        right = sum(int(found.right[k]) for found in losses[:3])
        assert first[f"accuracy_{name}"] == pytest.approx(right / 48, rel=1e-5)
    assert first["probe_loss"] == pytest.approx(sum(probes[:3]) / 3, rel=1e-5)
    assert first["train_accuracy"] == pytest.approx(sum(hits[:3]) / 3, rel=1e-5)


@pytest.mark.parametrize("kind", [SimCLR, BYOL, ReLIC])
def test_weight_0_trains_the_plain_method_bit_for_bit(kind: Any) -> None:
    torch.manual_seed(0)
    encoder = nn.Sequential(small_resnet(2), nn.Dropout(0.1))
    plain = Learner(kind(encoder, 8, hidden=6, out=4), 8, 3)
    made = learner(kind, Weights(manipulation=0.0))
    records = run_phase(phase(plain, copies=None)), run_phase(phase(made))
    assert same(plain, made) and same(made, plain)
    for one, other in zip(*records, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


@pytest.mark.parametrize("settings", [{}, {"optimizer": "lars", "bfloat16": True}])
@pytest.mark.parametrize("kind", [SimCLR, BYOL])
def test_going_on_from_a_checkpoint_gives_the_same_bits(
    kind: Any, settings: dict[str, Any], tmp_path: Path
) -> None:
    if settings:
        pytest.importorskip("lightly")
    whole, first, second = learner(kind), learner(kind), learner(kind, seed=1)
    expected = run_phase(phase(whole, **settings))
    stopped = phase(first, **settings)
    stopped.step()
    tensors = {f"model.{name}": value for name, value in first.state_dict().items()}
    tensors |= {f"phase.{name}": value for name, value in stopped.state_dict().items()}
    save_checkpoint(tmp_path, tensors, {"position": stopped.position})
    found = load_checkpoint(tmp_path)
    assert found is not None
    loaded, progress = found
    second.load_state_dict(
        {k.removeprefix("model."): v for k, v in loaded.items() if k.startswith("model.")}
    )
    going_on = phase(second, **settings)
    going_on.position = progress["position"]
    going_on.load_state_dict(
        {k.removeprefix("phase."): v for k, v in loaded.items() if k.startswith("phase.")}
    )
    records = run_phase(going_on)
    assert same(whole, second)
    for one, other in zip(expected[1:], records, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def patterns(count: int) -> Sources:
    """A dark, gray or bright bar whose place shows how far it was moved, with a little noise."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 30, (count, 3, 8, 8), generator=random, dtype=torch.uint8)
    labels = torch.arange(count) % 3
    images[:, :, :, 2] += (70 * labels + 60).to(torch.uint8)[:, None, None]
    return Sources(images, labels)


def trained(weights: Weights, shuffled: bool = False) -> Record:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(192, 32), nn.BatchNorm1d(32), nn.ReLU())
    made = Learner(SimCLR(encoder, 32, (4, 2), weights, hidden=32, out=16), 32, 3)
    return run_phase(
        phase(
            made,
            patterns(192),
            batches=160,
            batch_size=64,
            every=40,
            learning_rate=0.8,
            shuffled=shuffled,
        )
    )[-1]


def test_it_learns_what_was_done_and_what_is_seen() -> None:
    """A quarter of the moves, and five of eight directions, are found by chance."""
    record = trained(Weights(1.0, 1.0))
    assert float(record["accuracy_by"]) > 0.95 and float(record["accuracy_more"]) > 0.95
    assert float(record["train_accuracy"]) > 0.95
    assert float(record["discrimination"]) < 0.8 * math.log(127)


def test_shuffled_actions_teach_nothing() -> None:
    record = trained(Weights(1.0, 1.0), shuffled=True)
    assert float(record["accuracy_by"]) < 0.35 and float(record["loss_by"]) > 1.2


def test_shuffling_keeps_both_directions_together() -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    made = learner()
    made.method.register_forward_pre_hook(lambda _, given: seen.append((given[2], given[3])))
    run_phase(phase(made, shuffled=True))
    for forth, back in seen:
        assert torch.equal((forth[:, 0] + back[:, 0]) % 4, torch.zeros(8).long())


def test_a_frozen_encoder_stays_and_an_inverse_model_learns_from_it() -> None:
    made = learner(weights=Weights(discrimination=0.0, manipulation=1.0))
    made.method.encoder.requires_grad_(False)
    before = {name: p.clone() for name, p in made.method.named_parameters()}
    run_phase(phase(made))
    for name, p in made.method.named_parameters():
        if not name.startswith("projection"):  # which decays
            assert torch.equal(p, before[name]) == name.startswith("encoder")


def test_the_probe_has_no_say() -> None:
    made, other = learner(), learner()
    run_phase(phase(made, probe_rate=1.0))
    moved = sources()._replace(labels=sources().labels.flip(0))
    run_phase(phase(other, moved, probe_rate=0.01))
    assert same(made.method, other.method) and not same(made.probe, other.probe)


def test_sources_without_labels_teach_the_probe_nothing() -> None:
    made, given = learner(), sources()
    (record,) = phase(made, given._replace(labels=torch.full((40,), -1)), batches=3).step()
    assert not made.probe.weight.any() and record["probe_loss"] == 0
    assert "train_accuracy" not in record


def test_each_epoch_goes_through_all_sources_in_an_order_of_its_own() -> None:
    of = phase(learner(), sources(22))
    epochs = [torch.cat([of._rows(number) for number in part]) for part in ((0, 1), (2, 3))]
    assert all(len(epoch.unique()) == 16 for epoch in epochs)  # type: ignore[no-untyped-call]
    assert not torch.equal(*epochs)


def test_validation_sees_the_learner_as_it_is() -> None:
    def validate(found: Learner) -> Record:
        assert not found.training
        return {"weight": float(found.probe.weight.detach().sum())}

    made = learner()
    record = run_phase(phase(made, validate=validate))[-1]
    assert record["weight"] == float(made.probe.weight.detach().sum())


def test_lars_is_its_equation() -> None:
    """Weights move by a share of their norm; the rest as by plain SGD, without decay."""
    pytest.importorskip("lightly")
    made = learner()
    optimizer, of_probe = Training(3, optimizer="lars", weight_decay=0.1).optimizers(
        made.method, made.probe
    )
    before = {name: p.detach().clone() for name, p in made.method.named_parameters()}
    for p in made.method.parameters():
        p.grad = torch.randn_like(p)
    for group in optimizer.param_groups:
        group["lr"] = 2.0
    optimizer.step()
    for name, p in made.method.named_parameters():
        old, gradient = before[name], p.grad
        assert gradient is not None
        if p.dim() > 1:
            trust = 0.001 * old.norm() / (gradient.norm() + 0.1 * old.norm())
            expected = old - 2 * trust * (gradient + 0.1 * old)
        else:
            expected = old - 2 * gradient if p.requires_grad else old
        torch.testing.assert_close(p.detach(), expected)
    assert of_probe.param_groups[0]["weight_decay"] == 0.1


@given(batches=st.integers(1, 60), data=st.data())
def test_the_course_of_rates_is_lightlys(batches: int, data: st.DataObject) -> None:
    """Which ends at 0 one batch later, so that no batch is for nothing."""
    scheduler = pytest.importorskip("lightly.utils.scheduler")
    warm_up = data.draw(st.integers(0, batches - 1))
    training = Training(batches, batch_size=64, learning_rate=0.3, probe_rate=0.2, warm_up=warm_up)
    for number in range(batches):
        course = scheduler.cosine_warmup_schedule(number, batches + 1, 1.0, 0.0, warm_up, 0.0)
        assert training.rates(number) == pytest.approx((course * 0.3 * 64 / 256, course * 0.2))


def test_one_direction_is_learned_if_the_reverse_is_not_asked_for() -> None:
    for reverse, count in ((True, 2), (False, 1)):
        targets = phase(learner(), reverse=reverse)._batch(0)[0][2:]
        assert sum(of is not None for of in targets) == count


def test_a_loss_that_is_not_finite_ends_the_run_phase() -> None:
    made = learner()
    with torch.no_grad():
        made.method.projection[0].weight.fill_(math.nan)  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"learning_rate is 0.1: the loss is nan by step 1"):
        phase(made).step()


def test_lars_asks_for_lightly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightly", None)
    with pytest.raises(InputError, match=r"lightly is missing; .*plastorch\[ssl\]"):
        phase(learner(), optimizer="lars")


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Training(0), "batches is 0"),
        (lambda: Training(5, batch_size=1), "batch_size is 1; expected 2 or more"),
        (lambda: Training(5, every=0), "every is 0"),
        (lambda: Training(5, optimizer="adam"), "optimizer is 'adam'; expected one of lars, sgd"),  # type: ignore[arg-type]
        (lambda: Training(5, learning_rate=0.0), "learning_rate is 0.0"),
        (lambda: Training(5, momentum=1.0), "momentum is 1.0; expected 0 or more and below 1"),
        (lambda: Training(5, weight_decay=-1.0), "weight_decay is -1.0; expected 0 or more"),
        (lambda: Training(5, optimizer="lars", weight_decay=0.0), "weight_decay is 0.0"),
        (lambda: Training(5, warm_up=6), "warm_up is 6; expected 0 to 5"),
        (lambda: Training(5, probe_rate=-0.1), "probe_rate is -0.1"),
        (lambda: phase(learner(), sources(7)), "batch_size is 8; expected 1 to 7"),
        (
            lambda: phase(learner(), sources()._replace(labels=torch.zeros(3).long())),
            "labels are 3; expected 40",
        ),
        (lambda: phase(learner(), copies=None), "copies are missing; expected bins"),
        (
            lambda: Pretraining("x", learner(), sources(), lambda x: x, Training(3, 8)),  # type: ignore[arg-type]
            "views are a function; expected Views",
        ),
        (lambda: Learner(SimCLR(nn.Flatten(), 3), 3, 1), "classes is 1; expected 2 or more"),
    ],
)
def test_bad_input(build: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        build()


@pytest.mark.parametrize("weights", [Weights(), Weights(manipulation=1.0)])
def test_neither_labels_nor_classes_are_needed(weights: Weights) -> None:
    """The method learns as it does beside a probe, bit for bit."""
    probed, made = learner(weights=weights), learner(weights=weights)
    bare = Learner(made.method)
    assert bare.probe is None
    records = run_phase(phase(probed)), run_phase(phase(bare, Sources(sources().images)))
    assert same(probed.method, bare.method)
    for one, other in zip(*records, strict=True):
        left = {"probe_loss", "train_accuracy", "seconds"}
        assert {k: v for k, v in one.items() if k not in left} == {
            k: v for k, v in other.items() if k != "seconds"
        }


def test_labels_without_a_probe_are_left_alone_and_a_probe_asks_for_them() -> None:
    record = run_phase(phase(Learner(learner().method)))[-1]
    assert "probe_loss" not in record
    with pytest.raises(InputError, match="labels are missing; expected some for the probe"):
        phase(learner(), Sources(sources().images))
    with pytest.raises(InputError, match="features are missing"):
        Learner(learner().method, classes=3)

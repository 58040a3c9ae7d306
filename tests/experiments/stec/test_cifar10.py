"""Efference copies on small color images: whole runs, pairing, a restart, and bad settings."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from plastorch.cli import main
from plastorch.efference import (
    CIFAR,
    FACTORS,
    SimCLR,
    Weights,
    estimate_bins,
    small_resnet,
)
from plastorch.efference.probes import Exam, as_floats
from plastorch.efference.streams import Stream
from plastorch.efference.train import Pretraining, Sources
from plastorch.engine.checkpoint import load_tensors
from plastorch.engine.errors import InputError, Interrupted
from plastorch.engine.run import RunFolder
from plastorch.engine.streams import stream
from plastorch.experiments.context import Context
from plastorch.experiments.stec import images as stec_images
from plastorch.experiments.stec import measure as stec_measure
from plastorch.experiments.stec.arms import METHODS, SWEPT, Arm
from plastorch.experiments.stec.cifar10 import StecCifar10Config, measure
from plastorch.experiments.stec.measure import action_accuracies, share_true
from plastorch.experiments.stec.panels import panels
from plastorch.experiments.stec.study import Study
from plastorch.experiments.stec.train import new_learner
from plastorch.experiments.stec.transfer import Amounts, Scenery, make_scenery
from plastorch.report.load import load_run

EXPERIMENT = "stec-cifar10"
OPTIONS: dict[str, Any] = {"methods": ("simclr",), "width": 2, "hidden": 8, "transfer": False}
SMALL = StecCifar10Config(**OPTIONS)


@pytest.fixture(autouse=True)
def root(own_cache: Path, no_root: None) -> Path:
    """The default data root, of 120 + 20 images, each class of a brightness of its own."""
    root = own_cache / "plastorch" / "data"
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    for name in names:
        count = 20 if name == "test_batch" else 24
        labels = [number % 10 for number in range(count)]
        images = random.integers(0, 100, (count, 3072)) + 15 * np.array(labels)[:, None]
        content = {b"data": images.astype(np.uint8), b"labels": labels}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    classes = {b"label_names": [f"class{number}".encode() for number in range(10)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(classes, protocol=2))
    return root


def study(images: Tensor, labels: Tensor) -> Study:
    bins = estimate_bins(CIFAR, "egocentric", stream(0), 2000)
    exam = Exam(images, labels, images, labels)
    encoder = partial(small_resnet, 2)
    sources = Sources(images, labels)
    exams = {"images": exam}
    return Study(
        sources=sources,
        exams=exams,
        classes=10,
        views=CIFAR,
        prepare=as_floats,
        bins=bins,
        others={},
        bfloat16=False,
        new_encoder=encoder,
    )


def test_a_run_measures_every_arm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    monkeypatch.setattr(stec_images, "FEW", Amounts((12, 4), (2, 2), 1))
    made: list[tuple[int, ...]] = []

    def scenery(*given: Any) -> Scenery:
        made.append(given[-1])
        return make_scenery(*given)

    monkeypatch.setattr(stec_images, "make_scenery", scenery)
    config = StecCifar10Config(**OPTIONS | {"methods": ("simclr", "byol"), "transfer": True})
    result = measure(config, context(tmp_path / "run"))
    assert result["complete"] and result["data"]["n_train"] == 120
    assert made == [(0, Stream.TRANSFER, 0)]  # once for all encoders of the seed
    assert result["data"]["digits"]["source"] == "inside the package"
    assert len(result["data"]["digits"]["sha256"]) == 64
    assert "5,000 + 1,000 of MNIST's" in result["data"]["notice"]
    metrics = result["metrics"]
    roles = ("baseline", "stec", "shuffled")
    for arm in (f"{method}_{role}" for method in ("simclr", "byol") for role in roles):
        for kind in ("", "knn_", "ridge_", "logistic_"):
            assert 0 <= metrics[f"{arm}_{kind}accuracy"] <= 1
        assert metrics[f"{arm}_ratio"] == pytest.approx(
            metrics[f"{arm}_within"] / metrics[f"{arm}_between"], rel=1e-4
        )
        tells = [f"{arm}_found_{factor}_accuracy" in metrics for factor in FACTORS["egocentric"]]
        assert all(tells) if "baseline" not in arm else not any(tells)
        tried = "shuffled" not in arm
        assert (f"{arm}_place_r2" in metrics) == tried
        assert (f"{arm}_found_flip_frozen_accuracy" in metrics) == tried
    assert metrics["test_accuracy"] == metrics["simclr_stec_logistic_accuracy"]
    gain = metrics["byol_stec_accuracy"] - metrics["byol_baseline_accuracy"]
    assert metrics["byol_stec_gain_mean_accuracy"] == pytest.approx(gain)
    assert len(result["claims"]) == 28
    assert all(claim["holds"] is None for claim in result["claims"])
    rows = RunFolder(tmp_path / "run").records()
    phases = list(dict.fromkeys(row["phase"] for row in rows))
    arms = [arm.name for arm in replace(config, seeds=1).arms()]
    assert phases == [*arms, "stec-measure", "stec-control", "stec-transfer"]
    names = [panel.name for panel in panels(load_run(tmp_path / "run"))]
    assert names[:2] == ["gains-logistic_accuracy", "gains-accuracy"]
    assert not any(name.startswith("curves") for name in names)


def test_digits_that_stand_in_are_told_and_leave_claims_unjudged(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    told_of: list[str] = []
    of = replace(context(tmp_path / "run"), tell=told_of.append)
    config = replace(SMALL, transfer=True)
    images = replace(stec_images.load(config, "cifar10", of), notice="")
    digits = stec_images.load_digits(config, of)
    assert digits is not None
    data = stec_images.described(images, digits, of)
    assert told_of == [digits.notice] == [data["notice"]]
    data = stec_images.described(images, None, of)
    assert data["notice"] == "" and "digits" not in data


def test_without_digits_there_is_no_transfer(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    monkeypatch.setenv("PLASTORCH_DATA", str(root))
    with pytest.raises(InputError, match=r"neither MNIST nor .* data get mnist .*--no-transfer"):
        measure(replace(SMALL, transfer=True), context(tmp_path / "run"))


def test_own_images_are_no_digits(
    tmp_path: Path,
    write_tree: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    context: Callable[..., Context],
) -> None:
    write_tree(tmp_path / "mine", ((32, 32),) * 6, ("train", "test"), "RGB", "PNG", ("a", "b"))
    monkeypatch.setenv("PLASTORCH_DATA", str(tmp_path / "mine"))
    with pytest.raises(InputError, match=r"transfer is True, .* expected --no-transfer"):
        measure(replace(SMALL, transfer=True), context(tmp_path / "run"))
    assert RunFolder(tmp_path / "run").records() == []


@pytest.mark.parametrize("settings", [{"preset": "paper"}, {"warm_up": 2.0}])
def test_a_smoke_run_has_its_own_length(
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    context: Callable[..., Context],
) -> None:
    paper = {"epochs": 1000, "warm_up": 10.0, "copy": "compatible"}
    monkeypatch.setattr("plastorch.experiments.stec.cifar10.PAPER_SETTINGS", paper)
    small = StecCifar10Config(**OPTIONS, shuffled=(), **settings)
    config = measure(small, context(tmp_path / "run"))["config"]
    assert (config["epochs"], config["warm_up"], config["preset"]) == (3, 0.5, "none")
    assert config["copy"] == ("compatible" if "preset" in settings else "egocentric")


def test_a_frozen_encoder_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8)
    made = study(images, torch.arange(40) % 10)
    config, arm = replace(SMALL, epochs=1, batch_size=20), Arm("simclr", "stec", 1.0, 0)
    learner, controls = new_learner(config, arm, made, 0), []
    monkeypatch.setattr(
        stec_measure, "action_accuracies", lambda method, *_: controls.append(method) or {}
    )
    stec_measure.control_accuracies(config, arm, learner, made, seed=0)
    before = learner.method.encoder.state_dict()
    after = controls[0].encoder.state_dict()
    assert "trunk.bn1.running_mean" in after and before.keys() == after.keys()
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    views = images.float() / 255
    with torch.no_grad():
        controls[0].train()
        assert torch.equal(controls[0].encoder(views), learner.method.encoder.eval()(views))


def test_a_resnet_has_a_width_of_its_own() -> None:
    assert StecCifar10Config(encoder="resnet18").width == 64 and StecCifar10Config().width == 32


def test_the_form_of_the_authors_is_learned_one_way() -> None:
    assert not replace(SMALL, copy="compatible").training(40, 1).reverse
    assert SMALL.training(40, 1).reverse


def test_arms_of_a_seed_begin_alike_and_those_of_another_do_not() -> None:
    made = study(torch.zeros(20, 3, 32, 32, dtype=torch.uint8), torch.arange(20) % 10)
    config = replace(SMALL, methods=("simclr", "byol"), seeds=2)
    learners = {arm.name: new_learner(config, arm, made, seed=5) for arm in config.arms()}
    for method in ("simclr", "byol"):
        base = learners[f"{method}-baseline-0"].state_dict()
        stec = learners[f"{method}-stec-0"].state_dict()
        assert all(torch.equal(value, stec[name]) for name, value in base.items())
        assert {name.split(".")[1] for name in stec.keys() - base.keys()} == {"heads"}
        other = learners[f"{method}-baseline-1"].state_dict()
        assert not torch.equal(base["method.encoder.trunk.conv1.weight"],
                               other["method.encoder.trunk.conv1.weight"])  # fmt: skip
    state = learners["simclr-stec-0"].state_dict()
    shuffled = learners["simclr-shuffled-0"].state_dict()
    assert state.keys() == shuffled.keys()
    assert all(torch.equal(value, shuffled[name]) for name, value in state.items())


def test_arms_of_a_seed_see_the_same_views(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    """Without a weight of its own the inverse model changes nothing: the arms are the same."""
    config = replace(SMALL, manipulation=1e-30, shuffled=(), bfloat16=False)
    measure(config, context(tmp_path / "run"))
    rows = RunFolder(tmp_path / "run").records()
    figures = (
        "accuracy",
        "knn_accuracy",
        "ridge_accuracy",
        "logistic_accuracy",
        "within",
        "between",
    )
    baseline, stec = ([row[f] for f in figures] for row in rows if row["phase"] == "stec-measure")
    assert baseline == stec


def test_what_was_stopped_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    measure(SMALL, context(tmp_path / "whole"))
    step, count = Pretraining.step, 0

    def stopping(self: Pretraining) -> Any:
        nonlocal count
        count += 1
        if count in (2, 5):  # at the second arm, and at a job of the third phase
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr("plastorch.engine.loop.Loop.interval_s", 0.0)
    monkeypatch.setattr(Pretraining, "step", stopping)
    for _ in range(2):
        with pytest.raises((KeyboardInterrupt, Interrupted)):
            measure(SMALL, context(tmp_path / "stopped"))
    measure(SMALL, context(tmp_path / "stopped"))
    weights, courses = [], []
    for folder in ("whole", "stopped"):
        (file,) = (tmp_path / folder / "checkpoint").glob("*.safetensors")
        weights.append(load_tensors(file))
        records = RunFolder(tmp_path / folder).records()
        courses.append([{k: v for k, v in row.items() if k != "seconds"} for row in records])
    assert courses[0] == courses[1]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_a_sweep_is_tested_on_training_images(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    result = measure(replace(SMALL, sweep=True, transfer=True), context(tmp_path / "run"))
    assert result["data"]["n_train"] + result["data"]["n_test"] == 120
    assert "held out" in result["data"]["source"]
    rows = [row for row in RunFolder(tmp_path / "run").records() if row["phase"] == "stec-measure"]
    assert [row["weight"] for row in rows] == list(SWEPT)
    assert [claim["id"] for claim in result["claims"]] == ["sweep-inside", "sweep-large-accuracy"]


def test_settings_are_chosen_on_training_images(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    config = replace(SMALL, validation=True, transfer=True)
    result = measure(config, context(tmp_path / "run"))
    assert result["data"]["n_train"] + result["data"]["n_test"] == 120
    assert "held out" in result["data"]["source"] and "digits" not in result["data"]
    assert "simclr_stec_place_r2" not in result["metrics"]
    assert result["metrics"]["test_accuracy"] == result["metrics"]["simclr_stec_logistic_accuracy"]
    assert not config.ordinary


@pytest.mark.parametrize("method", METHODS)
def test_each_method_also_learns_from_copies_of_other_pairs(
    method: str, tmp_path: Path, context: Callable[..., Context]
) -> None:
    """The control starts like the arm that has its own copies, and differs by its targets."""
    config = StecCifar10Config(**OPTIONS | {"methods": (method,)})
    assert config.shuffled == (method,)
    result = measure(config, context(tmp_path / "run"))
    found = {claim["id"] for claim in result["claims"]}
    kinds = ("own-accuracy", "own-logistic-accuracy", "shuffled-accuracy")
    assert {f"{method}-{kind}" for kind in (*kinds, "shuffled-logistic-accuracy")} <= found
    rows = {row["phase"]: row for row in RunFolder(tmp_path / "run").records()}
    own, others = (rows[f"{method}-{role}-0"]["loss_flip"] for role in ("stec", "shuffled"))
    assert own != others


def test_other_heads_and_blocks_are_compared_on_the_same_views(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    roles = ("baseline", "stec", "augself", "equimod", "essl")
    config = StecCifar10Config(
        **OPTIONS,
        roles=roles[::-1],
        shuffled=(),
        efference_at=("layer2", "output"),
        efference_weights=(2.0, 1.0),
    )
    arms = replace(config, seeds=1).arms()
    assert [(arm.role, arm.weight) for arm in arms] == list(
        zip(roles, (0.0, 1.0, 2.0, 2.0, 0.8), strict=True)
    )
    result = measure(config, context(tmp_path / "run"))
    rows = RunFolder(tmp_path / "run").records()
    trained = {row["phase"]: row for row in rows if "batch" in row}
    assert "loss_center_x" in trained["simclr-augself-0"]
    assert "accuracy_rotation" in trained["simclr-essl-0"]
    assert "accuracy_scale_x" in trained["simclr-stec-0"]
    equimod = trained["simclr-equimod-0"]
    assert "manipulation" in equimod and not any(name.startswith("loss_") for name in equimod)
    metrics = result["metrics"]
    for role in roles:
        for name in ("logistic", "knn", "ridge", "few_labels"):
            assert 0 <= metrics[f"simclr_{role}_{name}_accuracy"] <= 1
        assert f"simclr_{role}_found_flip_frozen_accuracy" in metrics
        assert (f"simclr_{role}_found_flip_accuracy" in metrics) == (role == "stec")
        assert (f"simclr_{role}_gain_mean_logistic_accuracy" in metrics) == (role != "baseline")
    found = {claim["id"] for claim in result["claims"]}
    kinds = ("level-accuracy", "ahead-accuracy")
    assert {f"simclr-{rival}-{kind}" for rival in roles[2:] for kind in kinds} <= found
    assert "probes" in [panel.name for panel in panels(load_run(tmp_path / "run"))]


def test_arms_without_a_baseline_have_no_gains(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    """As where a weight or a block is chosen on held-out images."""
    config = StecCifar10Config(
        **OPTIONS, roles=("augself",), shuffled=(), validation=True, augself=0.5
    )
    result = measure(config, context(tmp_path / "run"))
    metrics = result["metrics"]
    assert metrics["test_accuracy"] == metrics["simclr_augself_logistic_accuracy"]
    assert not any("gain" in name for name in metrics) and result["claims"] == []


class Constant(nn.Module):
    """An inverse model that always says the same classes."""

    def __init__(self, classes: list[int], sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.answers = [nn.functional.one_hot(torch.tensor(c), n).float()
                        for c, n in zip(classes, sizes, strict=True)]  # fmt: skip

    def forward(self, h: Tensor, h_next: Tensor) -> list[Tensor]:
        return [answer.expand(len(h), -1) for answer in self.answers]


def test_what_is_told_is_counted_of_test_images() -> None:
    made = study(torch.zeros(600, 3, 32, 32, dtype=torch.uint8), torch.arange(600) % 10)
    classes = [0, 3, 1, 7, 2]
    method = SimCLR(small_resnet(2), 8, made.bins.sizes, Weights(manipulation=1.0))
    method.heads[0] = Constant(classes, made.bins.sizes)
    found = action_accuracies(method, made, (3,))
    wanted = []
    for number, count in enumerate((500, 100)):
        random = stream(3, number)
        a, b = (CIFAR.sample(count, random) for _ in range(2))
        wanted.append(made.bins.targets(a, b))
    for k, name in enumerate(FACTORS["egocentric"]):
        column = torch.cat(wanted)[:, k].tolist()
        assert found[f"found_{name}"] == pytest.approx(column.count(classes[k]) / 600)
        most = max(column.count(c) for c in range(made.bins.sizes[k]))
        assert found[f"majority_{name}"] == pytest.approx(most / 600)
    assert method.training


def test_factors_that_never_change_are_not_told(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    result = measure(replace(SMALL, copy="full"), context(tmp_path / "run"))
    told_of = {name for name in result["metrics"] if name.startswith("simclr_stec_found_")}
    assert "simclr_stec_found_hue_accuracy" in told_of
    assert not any("blur" in name or "solarized" in name for name in told_of)


def test_the_paper_is_a_preset_that_single_settings_override() -> None:
    config = StecCifar10Config(preset="paper", epochs=200)
    assert (config.encoder, config.optimizer, config.batch_size) == ("resnet18", "lars", 1024)
    assert config.epochs == 200 and config.copy == "compatible"
    assert replace(config) == config  # as a resumed run makes it
    assert config.new_encoder("cifar").features == 512


def test_claims_are_for_the_defaults_and_sweeps_of_any_seeds() -> None:
    assert StecCifar10Config().ordinary and StecCifar10Config(sweep=True, seeds=2).ordinary
    assert not StecCifar10Config(seeds=2).ordinary and StecCifar10Config(seeds=3).ordinary
    assert StecCifar10Config(methods=("byol",)).ordinary
    assert StecCifar10Config(methods=("simclr",), shuffled=()).ordinary
    assert not StecCifar10Config(methods=("byol",), tau=0.9).ordinary
    assert not StecCifar10Config(sweep=True, epochs=2).ordinary
    assert not StecCifar10Config(validation=True).ordinary
    assert StecCifar10Config(roles=("baseline", "augself", "stec")).ordinary
    assert StecCifar10Config(efference_at=("layer2",), manipulation=3.0, epochs=30).ordinary
    assert not StecCifar10Config(efference_at=("layer2",), copy="full").ordinary
    assert not StecCifar10Config(epochs=8).ordinary
    assert StecCifar10Config(sweep=True).held_out and not StecCifar10Config().held_out


PAPER: dict[str, Any] = {"preset": "paper", "dataset": "cifar100", "methods": ("simclr",)}


def test_claims_are_judged_with_the_papers_settings_too() -> None:
    for dataset in ("cifar10", "cifar100"):
        config = StecCifar10Config(**PAPER | {"dataset": dataset})
        assert config.ordinary and replace(config, shuffled=(), manipulation=0.3).ordinary
        for changed in ({"epochs": 200}, {"hidden": 64}, {"encoder": "resnet50"}, {"seeds": 2}):
            assert not StecCifar10Config(**PAPER | {"dataset": dataset} | changed).ordinary
    assert not StecCifar10Config(dataset="cifar100").ordinary


def test_the_papers_accuracies_are_those_of_its_very_settings() -> None:
    """Of ResNet-18 on CIFAR-100: 65.40 % by SimCLR, 66.80 % with efference copies."""
    for changed in ({}, {"seeds": 3, "shuffled": ()}, {"methods": ("simclr", "byol")}):
        found = StecCifar10Config(**PAPER | changed).published
        assert found == {"simclr": {"baseline": 0.654, "stec": 0.668}}
    for changed in ({"dataset": "cifar10"}, {"manipulation": 0.3}, {"epochs": 1200},
                    {"encoder": "resnet50"}, {"preset": "none"}):  # fmt: skip
        assert StecCifar10Config(**PAPER | changed).published == {}


@pytest.mark.parametrize(
    ("encoder", "hidden"), [(None, 512), ("resnet18", 512), ("resnet50", 1024), ("small", 512)]
)
def test_the_papers_projections_suit_the_encoder(encoder: str | None, hidden: int) -> None:
    given = {} if encoder is None else {"encoder": encoder}
    assert StecCifar10Config(**PAPER, seeds=1, **given).hidden == hidden
    assert StecCifar10Config(**PAPER, seeds=1, hidden=64, **given).hidden == 64


def test_share_of_true() -> None:
    assert share_true(torch.tensor([True, False])) == 0.5


def test_names_of_arms() -> None:
    names = [arm.name for arm in replace(SMALL, seeds=2).arms()]
    roles = ("baseline", "stec", "shuffled")
    assert names == [f"simclr-{role}-{seed}" for seed in (0, 1) for role in roles]
    assert Arm("simclr", "swept", 10.0, 1).name == "simclr-swept10000-1"
    assert Arm("byol", "stec", 1.0, 2).kind == "byol-stec"


def test_the_command_line_runs_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--methods", "relic", "--width", "2", "--no-transfer", "--quick"]
    assert main(["run", "stec-cifar10", *arguments, "--out", str(tmp_path)]) == 0
    assert "test accuracy" in capsys.readouterr().out
    (report,) = tmp_path.glob("stec-cifar10/*/report.html")
    assert "What efference copies bring" in report.read_text()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"methods": ("moco",)}, "methods are"),
        ({"shuffled": ("moco",)}, "shuffled are"),
        ({"seeds": 0}, "seeds is 0"),
        ({"validation": 0.1}, r"validation is 0\.1; expected True or False"),
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 1}, "batch_size is 1; expected 2 or more"),
        ({"manipulation": -1.0}, r"manipulation is -1\.0"),
        ({"discrimination": -1.0}, r"discrimination is -1\.0"),
        ({"encoder": "vgg"}, "encoder is 'vgg'"),
        ({"warm_up": 99.0}, r"warm_up is 99\.0; expected 0 to"),
        ({"learning_rate": 0.0}, r"learning_rate is 0\.0"),
        ({"copy": "audio"}, "copy is 'audio'; expected one of egocentric, full, compatible"),
        ({"temperature": 0.0}, r"temperature is 0\.0"),
        ({"tau": 5.0}, r"tau is 5\.0; expected 0 to 1"),
        ({"encoder": "resnet18", "width": 8}, "width is 8; expected 64, the width of resnet18"),
        ({"dataset": "svhn"}, "dataset is 'svhn'"),
        ({"roles": ()}, r"roles are \[\]"),
        ({"roles": ("stec", "swept")}, "roles are"),
        ({"augself": 0.0}, "augself is 0"),
        ({"efference_at": ("layer9",)}, "efference_at is 'layer9'; expected a block"),
        ({"efference_at": ()}, r"efference_at is \(\); expected one block or more"),
        ({"efference_at": ("layer1",) * 2}, "expected one block or more, each once"),
        ({"efference_weights": (1.0, 2.0)}, "expected 1, one for each block"),
        ({"efference_at": ("layer1",), "efference_weights": (0.0,)}, "not all 0"),
        ({"least_crop": 0.0}, r"least_crop is 0\.0"),
    ],
)
def test_bad_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        StecCifar10Config(**settings)

"""The deep SoftHebb experiments, run through the command line as a user would."""

import html
import json
import signal
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from plastorch.cli import main
from plastorch.data import load_images
from plastorch.engine.checkpoint import load_checkpoint, load_tensors, under
from plastorch.engine.errors import InputError
from plastorch.experiments.softhebb import deep as softhebb
from plastorch.experiments.softhebb import images as softhebb_images
from plastorch.experiments.softhebb.claims import PUBLISHED, claims
from plastorch.experiments.softhebb.config import (
    BEST,
    Cifar10Config,
    Cifar100Config,
    ImageNetConfig,
    MnistConfig,
    Stl10Config,
)
from plastorch.experiments.softhebb.images import load, views_of
from plastorch.hebbian import SoftHebbNet

SMALL = ["--width", "quarter", "--readout-epochs", "3"]


def run(out: Path, name: str, *options: str) -> tuple[Path, dict[str, Any]]:
    """Runs an experiment; returns its folder and result."""
    assert main(["run", name, "--out", str(out), *SMALL, *options]) == 0
    folder = max((out / name).iterdir(), key=lambda path: path.stat().st_mtime_ns)
    return folder, json.loads((folder / "result.json").read_text())


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_quick_digits_make_a_whole_run_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], no_root: None
) -> None:
    folder, result = run(tmp_path, "softhebb-mnist", "--quick", "--depth", "1", "--seed", "5")
    printed = capsys.readouterr()
    assert "test accuracy" in printed.out and str(folder / "report.html") in printed.out
    page = html.unescape((folder / "report.html").read_text())
    for words in ("SMALL STAND-IN: 5,000 + 1,000", "plastorch data get mnist", "Smoke run on"):
        for text in (printed.err, result["data"]["notice"], page):
            assert words in " ".join(text.split())
    assert folder.name.endswith("-seed5")
    for name in ("config.json", "metrics.jsonl", "report.html", "arrays.safetensors"):
        assert (folder / name).stat().st_size > 0
    assert list((folder / "figures").glob("*.png")) and load_checkpoint(folder / "checkpoint")
    assert result["complete"] and result["quick"] and result["seed"] == 5
    assert result["data"]["n_train"] == 2000 and result["data"]["n_test"] == 1000
    assert result["config"]["depth"] == 1 and result["config"]["width"] == "quarter"
    assert all(claim["holds"] is None for claim in result["claims"])
    metrics = result["metrics"]
    assert metrics["test_accuracy"] > 0.75
    assert 0 < metrics["peak_memory_gb"] < 8
    assert {"unsupervised_s", "features_s", "readout_s"} <= metrics.keys()
    table = load_tensors(folder / "arrays.safetensors")["confusion"]
    assert float(table.diagonal().sum() / table.sum()) == pytest.approx(metrics["test_accuracy"])
    readout = [record for record in records(folder) if record["phase"] == "readout"]
    assert [record["epoch"] for record in readout] == [1, 2, 3]
    assert readout[-1]["test_accuracy"] == pytest.approx(metrics["test_accuracy"])


def test_the_same_seed_gives_the_same_result_and_another_one_does_not(
    tmp_path: Path, mnist_root: Path
) -> None:
    accuracies, filters = [], []
    for seed in ("0", "0", "1"):
        options = ("--quick", "--depth", "1", "--seed", seed, "--data", str(mnist_root))
        folder, result = run(tmp_path / f"{len(filters)}", "softhebb-mnist", *options)
        accuracies.append(result["metrics"]["test_accuracy"])
        filters.append(load_tensors(folder / "arrays.safetensors")["filters"])
    assert torch.equal(filters[0], filters[1]) and accuracies[0] == accuracies[1]
    assert not torch.equal(filters[0], filters[2])


def test_the_preset_best_takes_the_place_of_defaults() -> None:
    best = Cifar10Config(preset="best")
    assert (best.width, best.readout_from, best.whitening) == ("4x", "all", 5.0)
    assert best.on_off and best.renewed_views and best.standardized
    assert (best.depth, best.unsupervised_epochs) == (3, 1)
    assert Cifar10Config(preset="best", width="half") == replace(best, width="half")
    assert Cifar10Config(**asdict(best)) == best  # as a resumed run reads it
    for config in (Cifar100Config, partial(MnistConfig, dataset="fashion-mnist")):
        other = asdict(config(preset="best"))
        assert {name: other[name] for name in BEST["cifar100"]} == BEST["cifar100"]
        assert other["mirrored"] and other["centered"] and other["on_off"]
        with pytest.raises(InputError, match="preset is 'fast'; expected paper or best for"):
            config(preset="fast")
    for name, config in (("stl10", Stl10Config), ("imagenet", ImageNetConfig)):
        with pytest.raises(InputError, match=f"preset is 'best'; expected paper for {name}"):
            config(preset="best")
    with pytest.raises(InputError, match="preset is 'worst'; expected one of paper, best, fast"):
        Cifar10Config(preset="worst")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "measured", "holds"),
    [
        (Cifar10Config(preset="best"), 0.8499, False),
        (Cifar10Config(preset="best"), 0.85, True),
        (Cifar10Config(preset="fast"), 0.8029, False),
        (Cifar10Config(preset="fast"), 0.803, True),
        (MnistConfig(preset="best"), 0.9949, False),
        (MnistConfig(preset="best"), 0.995, True),
    ],
)
def test_presets_of_ours_have_a_claim_of_its_own(
    cifar_root: Path, config: Any, measured: float, holds: bool
) -> None:
    images = replace(load_images("cifar10", cifar_root), notice="")
    found = claims(config, images, False, measured)
    assert [(claim.id, claim.holds) for claim in found][-1:] == [("best", holds)]
    for preset, changed in product(
        ("best", "fast"), ({"rule": "random"}, {"width": "quarter"}, {"depth": 2})
    ):
        other = claims(Cifar10Config(preset=preset, **changed), images, False, measured)
        assert "best" not in {claim.id for claim in other}


@pytest.mark.parametrize(
    "options",
    [
        ("--rule", "hard"),
        ("--rule", "random"),
        ("--rule", "random", "--no-statistics-pass"),
        ("--rule", "backprop"),
        ("--rule", "backprop", "--architecture", "published"),
        ("--rule", "hard", "--architecture", "published", "--depth", "3"),
        ("--mode", "consecutive"),
        ("--precision", "bf16"),
        ("--validation", "0.3"),
        ("--readout-from", "all", "--on-off"),
        ("--preset", "best"),
        ("--preset", "fast"),
        ("--wide", "16", "--wide-side", "3"),
        ("--whitening", "5"),
        ("--whitening", "5", "--rule", "sampled"),
        ("--channels", "24", "36"),
        ("--centered",),
    ],
    ids=" ".join,
)
def test_rules_and_modes_run_on_cifar_files(
    cifar_root: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    out = tmp_path / "runs"
    depth = () if "--depth" in options else ("--depth", "2")
    folder, result = run(out, "softhebb-cifar10", "--data", str(cifar_root), *depth, *options)
    assert result["complete"] and 0 <= result["metrics"]["test_accuracy"] <= 1
    learned = [r for r in records(folder) if r["phase"] == "unsupervised"]
    plastic = result["config"]["rule"] in ("soft", "hard")
    assert bool(learned) == plastic
    if "--validation" in options:
        assert result["data"]["n_train"] + result["data"]["n_test"] == 50
        assert all(claim["holds"] is None for claim in result["claims"])


def test_dropout_is_the_networks_own_unless_another_is_asked_for(
    cifar_root: Path, tmp_path: Path
) -> None:
    losses = []
    for options in ((), ("--dropout", "0.5"), ("--dropout", "0")):
        command = ("--data", str(cifar_root), "--depth", "1", *options)
        folder, _ = run(tmp_path / "runs", "softhebb-cifar10", *command)
        losses.append([r["loss"] for r in records(folder) if r["phase"] == "readout"])
    assert losses[0] == losses[1] != losses[2]


def test_channels_are_those_of_the_width_unless_others_are_asked_for() -> None:
    blocks = Cifar10Config(channels=(8, 9, 10), width="double").spec().blocks
    assert [block.out_channels for block in blocks] == [16, 18, 20]
    own = Cifar10Config().spec()
    assert Cifar10Config(channels=tuple(block.out_channels for block in own.blocks)).spec() == own


def test_the_power_of_the_last_triangle_is_the_presets_unless_another_is_asked_for() -> None:
    paper = MnistConfig().spec()
    assert MnistConfig(triangle_power=paper.blocks[-1].triangle_power).spec() == paper
    first, *later = Cifar10Config(whitening=5.0).spec().blocks
    assert first == Cifar10Config().spec().blocks[0]
    assert [block.triangle_power for block in later] == [1.0, 1.0]
    changed = MnistConfig(triangle_power=0.5).spec()
    assert changed.blocks[:-1] == paper.blocks[:-1] and changed.blocks[-1].triangle_power == 0.5


@pytest.mark.parametrize(
    ("name", "root"), [("softhebb-cifar10", "cifar_root"), ("softhebb-stl10", "stl10_root")]
)
def test_a_mirrored_run_tells_apart_what_it_answers_with_mirror_images(
    name: str, root: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    data = request.getfixturevalue(root)
    options = ("--data", str(data), "--depth", "1", "--mirrored")
    folder, result = run(tmp_path / "runs", name, *options)
    metrics = result["metrics"]
    weights, _ = load_checkpoint(folder / "checkpoint")
    net = SoftHebbNet.from_preset(name.split("-")[1], 1, "quarter").eval()
    net.load_state_dict(under(weights, "model.0."))
    images = load_images(name.split("-")[1], data)
    with torch.no_grad():
        whole, mirrored = (net(x) for x in (images.test_images, images.test_images.flip(3)))
    for logits, key in ((whole, ""), (whole + mirrored, "_with_mirror_images")):
        found = (logits.argmax(1) == images.test_labels).double().mean()
        # features are kept in half precision, so that an answer may be another one
        assert metrics[f"test_accuracy{key}"] == pytest.approx(float(found), abs=0.11)


def test_scores_of_two_networks_are_added(cifar_root: Path, tmp_path: Path) -> None:
    """Compared with both networks as they are in the checkpoint, and with a run of one."""
    options = ("--quick", "--depth", "1", "--data", str(cifar_root), "--mirrored", "--validation")
    folder, result = run(tmp_path, "softhebb-cifar10", *options, "0.5", "--networks", "2")
    metrics, (tensors, _) = result["metrics"], load_checkpoint(folder / "checkpoint")
    config = Cifar10Config(
        **{k: v for k, v in result["config"].items() if k not in ("seed", "quick")}
    )
    images = load_images("cifar10", cifar_root).validation_split(0.5, 0)
    logits = []
    for number in range(2):
        net = SoftHebbNet(config.spec(), 3, 32, classes=10).eval()
        net.load_state_dict(under(tensors, f"model.{number}."))
        both = [net(seen).detach() for seen in (images.test_images, images.test_images.flip(3))]
        logits.append(torch.stack(both))
    assert not torch.equal(*logits)
    right = [
        float((each.argmax(dim=1) == images.test_labels).double().mean())
        for each in (logits[0][0], sum(logits)[0], sum(logits).sum(dim=0))
    ]
    names = "first_network_accuracy", "test_accuracy", "test_accuracy_with_mirror_images"
    assert [metrics[name] for name in names] == pytest.approx(right)
    alone = run(tmp_path, "softhebb-cifar10", *options, "0.5")[1]["metrics"]
    assert alone["test_accuracy"] == metrics["first_network_accuracy"]
    for name in ("ridge_accuracy", "neighbors_accuracy", "radius_mean_layer1"):
        assert alone[name] == metrics[name]
    assert {"readout_s", "readout_2_s", "ridge_s"} <= metrics.keys() and "ridge_2_s" not in metrics
    assert "first_network_accuracy" not in alone


def test_the_readout_learns_from_both_views(cifar_root: Path) -> None:
    images = load_images("cifar10", cifar_root).train_images
    views = views_of(Cifar10Config(mirrored=True), images, 0)
    assert torch.equal(views[: len(images)], images)
    assert torch.equal(views[len(images) :].flip(3), images)
    assert views_of(Cifar10Config(), images, 0) is images


def test_digits_are_changed_anew_every_fourth_epoch_and_a_stopped_run_goes_on_alike(
    mnist_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    views: list[int] = []

    def changed(config: Any, digits: torch.Tensor, seed: int, view: int) -> torch.Tensor:
        views.append(view)
        if views == [2, 3]:
            signal.raise_signal(signal.SIGINT)
        return softhebb_images.changed(config, digits, seed, view)

    monkeypatch.setattr(softhebb, "changed", changed)
    command = ["run", "softhebb-mnist", "--data", str(mnist_root), "--depth", "1", *SMALL[:2]]
    best = ("--preset", "best", "--readout-epochs", "13", "--networks", "1")
    ends = []
    for out in (tmp_path / "stopped", tmp_path / "whole"):
        stopped = main([*command, *best, "--out", str(out)]) != 0
        (folder,) = (out / "softhebb-mnist").iterdir()
        assert stopped == (out.name == "stopped")
        if stopped:
            assert records(folder)[-1]["epoch"] == 9
            assert main(["run", "softhebb-mnist", "--resume", str(folder)]) == 0
        ends.append(load_checkpoint(folder / "checkpoint")[0])
    assert views == [2, 3, 3, 4, 2, 3, 4]  # the one at which it was stopped is made again
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())


def test_renewed_views_are_bent_and_kept_ones_are_not(mnist_root: Path) -> None:
    digits = load_images("mnist", mnist_root).train_images
    count = len(digits)
    kept, renewed = (
        views_of(MnistConfig(renewed_views=wanted), digits, 3) for wanted in (False, True)
    )
    assert (len(kept), len(renewed)) == (9 * count, 2 * count)
    assert torch.equal(kept[:count], digits) and torch.equal(renewed[:count], digits)
    assert not torch.equal(kept[count : 2 * count], renewed[count:])
    again = softhebb_images.changed(MnistConfig(renewed_views=True), digits, 3, 1)
    assert torch.equal(renewed[count:], again)


def test_renewed_photos_are_shifted_by_up_to_four_pixels_and_half_of_them_mirrored(
    cifar_root: Path,
) -> None:
    images = load_images("cifar10", cifar_root).train_images
    config = Cifar10Config(renewed_views=True)
    views = views_of(config, images, 3)
    assert torch.equal(views[: len(images)], images)
    both = torch.stack([images, images.flip(3)])
    padded = torch.nn.functional.pad(both.float().flatten(0, 1), (4,) * 4, mode="reflect")
    windows = padded.unfold(2, 32, 1).unfold(3, 32, 1).unflatten(0, (2, len(images)))
    changed = views[len(images) :]
    same = (windows.byte() == changed[None, :, :, None, None]).all(dim=(2, 5, 6)).flatten(2)
    assert same.any(dim=2).any(dim=0).all()
    assert 0 < same.any(dim=2)[1].float().mean() < 1
    assert not torch.equal(changed, softhebb_images.changed(config, images, 3, 2))


def test_blocks_learn_from_a_share_of_the_images_without_labels() -> None:
    images = torch.arange(40).view(40, 1, 1, 1)
    labeled = SimpleNamespace(train_images=images, unlabeled_images=None)
    others = SimpleNamespace(train_images=images, unlabeled_images=images + 100)
    context: Any = SimpleNamespace(seed=3)

    def learned_from(config: Any, given: Any, augment: Any = None) -> tuple[torch.Tensor, Any]:
        return softhebb_images.unlabeled_of(config, context, given, augment)

    assert learned_from(Cifar10Config(), labeled) == (images, None)
    half = learned_from(Cifar10Config(unsupervised_share=0.5), labeled)[0]
    assert len(half) == len(half.unique()) == 20
    assert learned_from(Stl10Config(), others)[0] is others.unlabeled_images
    assert int(learned_from(Stl10Config(unsupervised_share=0.5), others)[0].min()) >= 100
    tenth, augment = learned_from(ImageNetConfig(), labeled, lambda batch, rows, random: rows)
    assert len(tenth) == 4
    of = torch.tensor([2, 0])
    assert torch.equal(augment(None, of, None), tenth[of].flatten())  # rows of all images


def test_cifar100_has_a_hundred_classes(cifar_root: Path, tmp_path: Path) -> None:
    _, result = run(
        tmp_path / "runs",
        "softhebb-cifar100",
        *("--data", str(cifar_root), "--depth", "1", "--width", "4x"),
    )
    assert len(result["data"]["classes"]) == 100
    assert result["claims"][0]["target"] == 0.43


def test_stl10_learns_from_its_unlabeled_images_with_augmented_readout(
    stl10_root: Path, tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    folder, result = run(out, "softhebb-stl10", "--data", str(stl10_root), "--depth", "2")
    steps = {r["examples"] for r in records(folder) if r["phase"] == "unsupervised"}
    assert result["config"]["batch_size"] == 32 and steps == {32, 64}  # one batch per block
    assert result["data"]["n_train"] == 4 and "features_s" in result["metrics"]
    assert result["config"]["readout_epochs"] == 3


@pytest.mark.parametrize("name", ["imagenet", "imagenette2"])
def test_imagenet_folders_run_with_crops(
    tmp_path: Path, write_tree: Callable[..., Path], name: str
) -> None:
    classes = ("n01440764", "n02102040", "n02979186")
    write_tree(tmp_path / name, ((200, 170), (150, 210)), ("train", "val"), "RGB", "JPEG", classes)
    dataset = "imagenette" if name == "imagenette2" else "imagenet"
    folder, result = run(
        tmp_path / "runs",
        "softhebb-imagenet",
        *("--data", str(tmp_path), "--dataset", dataset, "--depth", "2", "--batch-size", "2"),
    )
    steps = [r for r in records(folder) if r["phase"] == "unsupervised"]
    assert steps and result["complete"]
    assert result["data"]["n_train"] == 6 and result["data"]["n_test"] == 6


def test_own_folder_of_digits_takes_mnists_place(
    tmp_path: Path, write_tree: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_tree(tmp_path / "mine", ((28, 28),) * 6, classes=("<script>", "b"))
    folder, result = run(tmp_path / "runs", "softhebb-mnist", "--data", str(root), "--depth", "1")
    assert result["data"]["classes"] == ["<script>", "b"]
    assert "NOTE" in capsys.readouterr().err
    assert all(claim["holds"] is None for claim in result["claims"])
    assert "<script>" not in (folder / "report.html").read_text().replace("&lt;script&gt;", "")


def test_oblong_images_of_ones_own_are_squashed_to_their_shorter_side(
    tmp_path: Path, write_tree: Callable[..., Path]
) -> None:
    root = write_tree(tmp_path / "mine", ((20, 12),) * 3, mode="RGB")
    context: Any = SimpleNamespace(data=root)
    images = load(MnistConfig(), context)
    assert images.train_images.shape[1:] == (3, 12, 12)
    assert "squashed to 12 x 12 pixels" in images.notice


def test_published_figures_cover_every_depth() -> None:
    for data, rules in PUBLISHED.items():
        for rule, row in rules.items():
            assert all(value is None or 0 < value < 100 for value in row), (data, rule)
    assert PUBLISHED["cifar10"]["soft"][2] == 80.31


def test_settings_that_do_not_go_together() -> None:
    both = "rule is 'backprop'; expected another, or readout_from and mirrored at the default"
    with pytest.raises(InputError, match=both):
        Cifar10Config(rule="backprop", mirrored=True, readout_from="all")
    for changed in ("on_off", "centered", "standardized", "renewed_views"):
        with pytest.raises(InputError, match=f"expected another, or {changed} at the default"):
            MnistConfig(rule="backprop", **{changed: True})
    with pytest.raises(InputError, match="expected another, or networks at the default"):
        MnistConfig(rule="backprop", networks=2)
    with pytest.raises(InputError, match=r"networks is 100 and channels is \(48, .*145 GB"):
        ImageNetConfig(networks=100)
    for changed in ("centered", "standardized"):
        with pytest.raises(InputError, match=f"{changed} is True; expected False for stl10"):
            Stl10Config(**{changed: True})
    with pytest.raises(InputError, match="renewed_views is True; expected False for stl10"):
        Stl10Config(renewed_views=True)
    with pytest.raises(InputError, match="mirrored is True; expected False for digits"):
        MnistConfig(mirrored=True)
    with pytest.raises(InputError, match="wide_side is 4; expected 2: there is no wide layer"):
        Cifar10Config(wide_side=4)
    with pytest.raises(InputError, match="expected another, or whitening at the default"):
        Cifar10Config(rule="backprop", whitening=5.0)
    with pytest.raises(InputError, match=r"whitening is 5\.0; expected None: there is no block"):
        Cifar10Config(depth=1, whitening=5.0)
    with pytest.raises(
        InputError, match=r"channels is \(8, 9\); expected 3 numbers, as depth is 3"
    ):
        Cifar10Config(channels=(8, 9))
    with pytest.raises(
        InputError, match=r"channels is \(8, 9, 9\); expected None, as width is '2x'"
    ):
        Cifar10Config(channels=(8, 9, 9), width="2x")
    with pytest.raises(InputError, match="one of channels is 0; expected 1 to"):
        Cifar10Config(channels=(8, 0, 9))
    assert MnistConfig(dataset="fashion-mnist", mirrored=True).mirrored


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch_size", 0),
        ("unsupervised_epochs", 0),
        ("unsupervised_share", 0.0),
        ("unsupervised_share", 1.5),
        ("readout_epochs", -1),
        ("readout_batch_size", 0),
        ("readout_learning_rate", 0.0),
        ("validation", 1.0),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("networks", 0),
        ("networks", 101),
        ("depth", 9),
        ("width", "3x"),
        ("rule", "loud"),
    ],
)
def test_configurations_name_what_is_out_of_range(field: str, value: Any) -> None:
    for config in (Cifar10Config, MnistConfig):
        with pytest.raises(ValueError, match=field):
            config(**{field: value})

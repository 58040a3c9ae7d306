"""The shallow SoftHebb experiment: small whole runs, stops and restarts, and what goes wrong."""

import importlib.util
import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from plastorch.cli import main
from plastorch.data import ImageSet, load_images
from plastorch.engine.checkpoint import load_tensors
from plastorch.engine.errors import Interrupted
from plastorch.engine.loop import Jobs
from plastorch.engine.run import RunFolder
from plastorch.experiments.context import Context
from plastorch.experiments.softhebb import bayes, bayes_attacks, bayes_networks
from plastorch.experiments.softhebb.bayes import measure
from plastorch.experiments.softhebb.bayes_attacks import interpolation
from plastorch.experiments.softhebb.bayes_claims import ATTACKS
from plastorch.experiments.softhebb.bayes_networks import BayesConfig, BayesNetworks, Kind
from plastorch.hebbian.shallow import OnlineTraining

EXPERIMENT = "softhebb-bayes"

# Found, not imported: the library's own import is what must cope with warnings as errors.
needs_foolbox = pytest.mark.skipif(
    importlib.util.find_spec("foolbox") is None, reason="foolbox is not installed"
)
KINDS = ("soft", "hard", "backprop", "backprop-unit")
PHASES = [
    "theory",
    *(f"{when}-{kind}" for kind in KINDS for when in ("once", "again")),
    *(f"long-{kind}" for kind in KINDS),
    *("judge", "readouts", "robustness", "interpolation"),
]
THEORY = {"equilibrium", "posterior", "weights", "prior", "kl", "hidden-cross-entropy", "found"}
CLAIMS = {
    *THEORY,
    *("cross-entropy", "cross-entropy-hard", "soft-hard"),
    *(f"{name}{end}" for name in ("one-pass", "iterations") for end in ("", "-hard", "-unit")),
    *(f"robust-{attack}{end}" for attack in ATTACKS for end in ("", "-hard", "-unit")),
    *(f"interpolation{end}" for end in ("", "-hard", "-unit")),
}


@pytest.fixture(autouse=True, scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Makes --quick far smaller still, on the digits of the package: seconds on one core."""
    quick = bayes._quick

    def smaller(config: BayesConfig, images: ImageSet, seed: int) -> tuple[BayesConfig, ImageSet]:
        small, some = quick(config, images, seed)
        attacked = min(20, small.attacked_images)
        small = replace(small, neurons=40, samples=2000, attacked_images=attacked)
        some = replace(
            some,
            train_images=some.train_images[:640],
            train_labels=some.train_labels[:640],
            test_images=some.test_images[:100],
            test_labels=some.test_labels[:100],
        )
        return small, some

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PLASTORCH_DATA", raising=False)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("empty")))
        patch.setattr(bayes, "_quick", smaller)
        patch.setattr(bayes_attacks, "STRENGTHS", {"linf": (0.1, 0.6), "l2": (2.0, 9.0)})
        patch.setattr(bayes_attacks, "INTERPOLATION_STRENGTHS", (4.0, 12.0, 30.0))
        patch.setattr(bayes_attacks, "PART", 15)
        yield


@pytest.fixture(scope="module")
def whole(
    tiny: None, tmp_path_factory: pytest.TempPathFactory, context: Callable[..., Context]
) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    measure(BayesConfig(), context(folder))
    return folder


def result_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())


def figures_of(folder: Path) -> dict[str, float]:
    """All metrics but those of the machine."""
    return {
        name: value
        for name, value in result_of(folder)["metrics"].items()
        if not name.endswith("_s") and name != "peak_memory_gb"
    }


def same_run(folder: Path, other: Path) -> None:
    assert figures_of(folder) == figures_of(other)
    assert list(figures_of(folder)) == list(figures_of(other))
    for name in ("metrics.jsonl", "arrays.safetensors"):
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name


@needs_foolbox
def test_a_run_has_every_claim_and_metric(whole: Path) -> None:
    result = result_of(whole)
    assert result["complete"] and result["quick"] and result["seed"] == 0
    assert result["data"]["n_train"] == 640 and result["data"]["n_test"] == 100
    assert result["config"]["neurons"] == 40 and result["config"]["restarts"] == 1
    assert {claim["id"] for claim in result["claims"]} == CLAIMS
    assert all(claim["holds"] is None for claim in result["claims"])
    metrics = result["metrics"]
    assert {f"{phase.replace('-', '_')}_s" for phase in PHASES} <= metrics.keys()
    assert metrics["test_accuracy"] == metrics["long_soft_accuracy"] > 0.4
    assert metrics["judge_accuracy"] > 0.6
    for when in ("once", "long"):
        for kind in ("soft", "hard"):
            assert 0.3 < metrics[f"{when}_{kind}_label_assignment"] <= 1
            assert 0 <= metrics[f"{when}_{kind}_teacher_clamped"] <= 1
    assert all(0 <= value <= 1 for name, value in metrics.items() if name.startswith("area"))
    assert 0.7 < metrics["theory_equilibrium_score"] < 1.3
    assert metrics["theory_kl"] < metrics["theory_kl_before"]


@needs_foolbox
def test_the_log_has_every_phase_in_order(whole: Path) -> None:
    rows = RunFolder(whole).records()
    assert list(dict.fromkeys(row["phase"] for row in rows)) == PHASES
    assert len([row for row in rows if row["phase"] == "theory"]) == 2
    attacked = [row for row in rows if row["phase"] == "robustness" and row["attack"] != "noise"]
    assert {row["images"] for row in attacked} == {15, 5}
    assert len(attacked) == 4 * 4 * 2 * 3  # attacks, networks, parts, strengths with 0
    assert [row["step"] for row in rows if row["phase"] == "long-hard"][-2:] == [20, 40]


@needs_foolbox
def test_the_second_learning_of_a_hidden_layer_is_the_first_under_a_finished_readout(
    whole: Path,
) -> None:
    """Its weights come out the same, so the loss ends where it was, and starts elsewhere."""
    metrics = result_of(whole)["metrics"]
    for kind in ("soft", "hard"):
        again, once = (f"{when}_{kind}_cross_entropy" for when in ("again", "once"))
        assert metrics[again] == metrics[once]
        assert metrics[f"{again}_at_first"] != metrics[f"{once}_at_first"]
    assert metrics["again_backprop_cross_entropy"] != metrics["once_backprop_cross_entropy"]


@needs_foolbox
def test_the_report_has_its_arrays(whole: Path) -> None:
    arrays, metrics = load_tensors(whole / "arrays.safetensors"), figures_of(whole)
    curves = {f"accuracy_{attack}_{kind}" for attack in ATTACKS for kind in KINDS}
    between = {f"interpolated_{kind}{end}" for kind in KINDS[:3] for end in ("", "_p")}
    named = {"filters", "interpolated_start", "interpolated_classes"}
    assert arrays.keys() == curves | between | named
    assert arrays["filters"].shape == (40, 1, 28, 28)
    for kind in KINDS:
        strengths, right = arrays[f"accuracy_noise_{kind}"]
        torch.testing.assert_close(strengths, torch.arange(11) / 10)
        clean = metrics[f"long_{kind.replace('-', '_')}_accuracy"]
        assert float(right[0]) == pytest.approx(clean)
        for attack, expected in (("linf", (0.0, 0.1, 0.6)), ("l2", (0.0, 2.0, 9.0))):
            for name in (attack, f"transfer-{attack}"):
                strengths, right = arrays[f"accuracy_{name}_{kind}"]
                torch.testing.assert_close(strengths, torch.tensor(expected))
                assert right[0] > right[-1]
            assert (arrays[f"accuracy_{attack}_{kind}"][1].diff() <= 0).all()
    start, (source, target) = arrays["interpolated_start"], arrays["interpolated_classes"]
    count = len(start)
    assert 0 < count <= 4 and start.shape == (count, 1, 28, 28)
    assert source.dtype == torch.int64 and (source != target).all()
    for kind in KINDS[:3]:
        images, p = arrays[f"interpolated_{kind}"], arrays[f"interpolated_{kind}_p"]
        assert images.shape == (3, count, 1, 28, 28) and p.shape == (2, 3, count)
        assert images.min() >= 0 and images.max() <= 1
        length = (images - start).flatten(2).norm(dim=2)
        assert (length <= torch.tensor([4.0, 12.0, 30.0])[:, None] + 1e-3).all()
        assert (p.sum(dim=0) <= 1 + 1e-5).all()


@needs_foolbox
def test_the_command_line_gives_the_same_run_and_draws_it(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "softhebb-bayes", "--quick", "--out", str(tmp_path)]) == 0
    (folder,) = (tmp_path / "softhebb-bayes").iterdir()
    same_run(folder, whole)
    drawn = {path.stem for path in (folder / "figures").glob("*.png")}
    assert {"speed-of-learning", "cross-entropy", "robustness"} <= drawn
    assert {"receptive-fields", "between-soft", "between-backprop"} <= drawn
    assert not [name for name in drawn if name.startswith("curves")]
    assert "SoftHebb above backprop" in (folder / "result.json").read_text()
    assert "claim" not in capsys.readouterr().out


@needs_foolbox
def test_another_seed_gives_another_run(
    whole: Path, tmp_path: Path, context: Callable[..., Context]
) -> None:
    measure(BayesConfig(), context(tmp_path, seed=1))
    first, second = figures_of(whole), figures_of(tmp_path)
    crossed = {name for name in first | second if name.startswith("between")}
    assert first.keys() - crossed == second.keys() - crossed
    for part in ("once_soft_cross_entropy", "theory_kl_before", "area_l2_backprop"):
        assert first[part] != second[part]


@needs_foolbox
def test_parts_can_be_left_out_and_change_no_other(
    whole: Path, tmp_path: Path, context: Callable[..., Context]
) -> None:
    """No worlds, no attacks, one pass: the rest is as in a whole run."""
    measure(BayesConfig(mixtures=0, attacked_images=0, epochs=1), context(tmp_path))
    result, all_parts = result_of(tmp_path), figures_of(whole)
    found = figures_of(tmp_path)
    assert found["test_accuracy"] == all_parts["once_soft_accuracy"]
    assert found.items() - {("test_accuracy", found["test_accuracy"])} <= all_parts.items()
    assert {name.split("_")[0] for name in found} == {"once", "again", "test"}
    phases = {row["phase"] for row in RunFolder(tmp_path).records()}
    assert phases == {name for name in PHASES if name.startswith(("once", "again", "readouts"))}
    kept = {name for name in CLAIMS if not name.startswith(("robust", "interpolation"))}
    assert {claim["id"] for claim in result["claims"]} == kept - THEORY
    assert load_tensors(tmp_path / "arrays.safetensors").keys() == {"filters"}


@needs_foolbox
def test_settings_are_chosen_on_images_of_the_training_set(
    tmp_path: Path, context: Callable[..., Context]
) -> None:
    """Of the networks that are asked for, and without what no choice needs."""
    few = {"mixtures": 0, "attacked_images": 0, "epochs": 1}
    config = BayesConfig(networks=("hard", "backprop-unit"), validation=0.25, **few)
    measure(config, context(tmp_path))
    result = result_of(tmp_path)
    assert "0.25 of the training part held out" in result["data"]["source"]
    assert result["config"]["networks"] == ["hard", "backprop-unit"] and not result["claims"]
    phases = [row["phase"] for row in RunFolder(tmp_path).records()]
    assert list(dict.fromkeys(phases)) == ["once-hard", "once-backprop-unit", "readouts"]
    assert "test_accuracy" not in result["metrics"]
    assert {"once_hard_accuracy", "once_backprop_unit_accuracy"} <= result["metrics"].keys()


@needs_foolbox
def test_softhebb_is_compared_with_images_that_nothing_was_learned_of(
    whole: Path, tmp_path: Path, context: Callable[..., Context]
) -> None:
    """Of the two networks alone, and with the fewest attacks; noise is as in a whole run."""
    few = {"mixtures": 0, "attacked_images": 1, "attack_steps": 1, "restarts": 1}
    measure(BayesConfig(networks=("soft", "sampled"), **few), context(tmp_path))
    result, found = result_of(tmp_path), figures_of(tmp_path)
    phases = {row["phase"] for row in RunFolder(tmp_path).records()}
    learned = {"once-soft", "again-soft", "once-sampled", "long-soft", "long-sampled"}
    assert learned < phases and "again-sampled" not in phases
    assert found["area_noise_soft"] == figures_of(whole)["area_noise_soft"]
    assert found["once_sampled_accuracy"] > 0.3 < found["long_sampled_label_assignment"]
    rows = {claim["id"]: claim for claim in result["claims"]}
    ours = rows["robust-noise-sampled"]
    assert (ours["measured"], ours["target"], ours["origin"]) == (
        found["area_noise_soft"], found["area_noise_sampled"], "ours",
    )  # fmt: skip
    assert rows["one-pass-sampled"]["target"] == found["once_sampled_accuracy"]
    assert {name for name in rows if "robust-linf" in name} == set()
    arrays = load_tensors(tmp_path / "arrays.safetensors")
    assert "accuracy_noise_sampled" in arrays and "interpolated_sampled" not in arrays


def test_attacks_and_other_networks_do_not_decide_on_claims_about_learning_and_noise() -> None:
    few = {"attacked_images": 1, "attack_steps": 1, "restarts": 1}
    for networks in (KINDS, ("soft", "sampled")):
        config = BayesConfig(networks=networks, mixtures=0, **few)
        assert config.ordinary_learning and not config.ordinary
        assert not replace(config, epochs=9).ordinary_learning
        assert not replace(config, neurons=100).ordinary_learning
    assert BayesConfig(networks=(*KINDS, "sampled")).ordinary
    assert BayesConfig(networks=("soft", "sampled"), attacked_images=0, epochs=1).ordinary


def test_claims_are_asserted_of_parts_that_run_as_usual() -> None:
    images = "fashion-mnist"
    ordinary = [
        *(BayesConfig(), BayesConfig(images), BayesConfig(mixtures=0)),
        *(BayesConfig(attacked_images=0), BayesConfig(images, attacked_images=0, epochs=1)),
        BayesConfig(networks=("soft", "hard"), attacked_images=0),
    ]
    others = [
        *(BayesConfig(epochs=1), BayesConfig(mixtures=1), BayesConfig(attacked_images=10)),
        *(BayesConfig(validation=0.1), BayesConfig(inverse_temperature=10.0, attacked_images=0)),
        *(BayesConfig(mixtures=0, epochs=1), BayesConfig(networks=("soft", "hard"))),
    ]
    assert all(config.ordinary for config in ordinary)
    assert not any(config.ordinary for config in others)


@needs_foolbox
def test_the_control_changes_no_figure_of_other_networks(digits: ImageSet) -> None:
    """Where the control is wrong, others are still asked; what it is asked, it is right on."""
    nets = BayesNetworks(BayesConfig(neurons=20), digits, seed=3).requires_grad_(False)
    labels = nets.long["soft"](digits.test_images / 255).argmax(dim=1)
    images = replace(digits, test_labels=labels)

    def records(*networks: Kind) -> list[Any]:
        config = BayesConfig(networks=networks, neurons=20, attacked_images=40, attack_steps=3)
        return [record for job in interpolation(config, nets, images, {}) for record in job()]

    alone, (soft, control) = records("soft"), records("soft", "backprop-unit")
    assert [soft] == alone and control["network"] == "backprop-unit"
    images = replace(digits, test_labels=(labels + 1) % 10)
    assert records("soft", "backprop-unit") == []


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def die() -> None:
    raise MemoryError("killed")


STOPS: list[tuple[str, int, Callable[[], None]]] = [
    ("theory", 0, interrupt),
    ("once-soft", 7, interrupt),
    ("again-soft", 19, interrupt),  # its last step: between two phases
    ("once-hard", 0, die),
    ("once-backprop", 5, interrupt),
    ("long-backprop", 30, interrupt),
    ("judge", 3, die),
    ("readouts", 1, interrupt),
    ("robustness", 9, interrupt),
    ("robustness", 11, die),
    ("interpolation", 1, interrupt),
]


@needs_foolbox
def test_a_run_stopped_in_every_part_ends_as_if_it_never_was(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    pending = {(name, position): act for name, position, act in STOPS}

    def watched(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def wrapper(phase: Any) -> Any:
            pending.pop((phase.name, phase.position), lambda: None)()
            return step(phase)

        return wrapper

    for kind in (Jobs, OnlineTraining):
        monkeypatch.setattr(kind, "step", watched(kind.step))
    for left in range(len(STOPS), 0, -1):
        assert len(pending) == left
        with pytest.raises((Interrupted, MemoryError)):
            measure(BayesConfig(), context(tmp_path))
        result = result_of(tmp_path)
        assert not result["complete"] and not result["claims"]
        assert not (tmp_path / "arrays.safetensors").exists()
    measure(BayesConfig(), context(tmp_path))
    assert not pending and result_of(tmp_path)["complete"]
    same_run(tmp_path, whole)


@needs_foolbox
def test_a_finished_run_can_be_resumed_for_its_result(
    whole: Path, tmp_path: Path, context: Callable[..., Context]
) -> None:
    for path in whole.rglob("*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(whole)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())
    (tmp_path / "result.json").unlink()
    measure(BayesConfig(), context(tmp_path))
    same_run(tmp_path, whole)


FEW = {
    "neurons": 5,
    "epochs": 1,
    "mixtures": 1,
    "samples": 1000,
    "attacked_images": 5,
    "attack_steps": 1,
    "restarts": 1,
}
OPTIONS = [word for name, n in FEW.items() for word in (f"--{name.replace('_', '-')}", str(n))]


@needs_foolbox
@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist"])
def test_networks_that_are_right_on_nothing_still_end_their_run(
    mnist_root: Path, tmp_path: Path, dataset: str
) -> None:
    """Random pixels: no image is right in all networks, so nothing can be turned."""
    where = ["--data", str(mnist_root), "--out", str(tmp_path / "runs"), "--dataset", dataset]
    assert main(["run", "softhebb-bayes", *where, *OPTIONS, "--seed", "2"]) == 0
    (folder,) = (tmp_path / "runs" / "softhebb-bayes").iterdir()
    result = result_of(folder)
    assert result["complete"] and result["data"]["n_train"] == 30
    claims = {claim["id"]: claim["holds"] for claim in result["claims"]}
    assert claims.keys() == {name for name in CLAIMS if not name.startswith("interpolation")}
    assert set(claims.values()) == {None}  # other settings than those that are asserted
    arrays = load_tensors(folder / "arrays.safetensors")
    assert not [name for name in arrays if name.startswith("interpolated")]


@needs_foolbox
def test_own_images_may_be_oblong_and_assert_nothing(
    tmp_path: Path, write_tree: Callable[..., Path]
) -> None:
    root = write_tree(tmp_path / "mine", ((20, 12),) * 8, mode="RGB")
    where = ["--data", str(root), "--out", str(tmp_path / "runs")]
    assert main(["run", "softhebb-bayes", *where, *OPTIONS]) == 0
    (folder,) = (tmp_path / "runs" / "softhebb-bayes").iterdir()
    result = result_of(folder)
    assert result["complete"] and result["data"]["classes"] == ["cat", "dog"]
    assert all(claim["holds"] is None for claim in result["claims"])
    assert load_tensors(folder / "arrays.safetensors")["filters"].shape == (5, 3, 12, 20)


def test_missing_foolbox_is_named_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "foolbox", None)
    monkeypatch.setattr(Jobs, "step", lambda self: pytest.fail("it began to work"))
    assert main(["run", "softhebb-bayes", "--quick", "--out", str(tmp_path)]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line == 'plastorch: foolbox is missing; expected: pip install "plastorch[attacks]"'
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--neurons", "0"), "neurons is 0"),
        (("--networks", "soft", "softer"), "'softer'"),
        (("--inverse-temperature", "0"), "inverse_temperature is 0"),
        (("--validation", "1"), "validation is 1"),
        (("--mixtures", "-1"), "mixtures is -1"),
        (("--backprop-unit-rate", "0"), "backprop_unit_rate is 0"),
        (("--hebbian-rate", "-0.5"), "hebbian_rate is -0.5"),
        (("--dataset", "cifar10"), "'cifar10'"),
        (("--restart", "3"), "did you mean --restarts?"),
    ],
)
def test_mistakes_on_the_command_line_are_named(
    tmp_path: Path, options: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "softhebb-bayes", "--out", str(tmp_path), *options]) == 2
    assert words in capsys.readouterr().err.strip().splitlines()[-1]
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def digits(tiny: None) -> ImageSet:
    return load_images("mnist")


def test_networks_of_a_kind_start_equal(digits: ImageSet) -> None:
    """So that once, again and long differ in what they learn and in nothing else."""
    torch.manual_seed(1)
    nets = BayesNetworks(BayesConfig(neurons=20), digits, seed=3)
    torch.manual_seed(2)  # which is not theirs
    state, soft = nets.state_dict(), nets.once["soft"].state_dict()
    for kind in (*KINDS, "sampled"):
        for when in ("again", "long"):
            for name, value in getattr(nets, when)[kind].state_dict().items():
                assert torch.equal(value, state[f"once.{kind}.{name}"])
    assert all(torch.equal(soft[n], v) for n, v in nets.once["hard"].state_dict().items())
    backprop = nets.once["backprop"].state_dict()
    control = nets.once["backprop-unit"].state_dict()
    assert all(torch.equal(backprop[n], v) for n, v in control.items())
    sampled, pixels = nets.once["sampled"], digits.train_images.flatten(1) / 255
    cosines = sampled.hidden.weight @ (pixels / pixels.norm(dim=1, keepdim=True)).T
    assert torch.allclose(cosines.amax(dim=1), torch.ones(20))  # each is an image of length 1
    assert torch.equal(sampled.readout.weight, nets.once["soft"].readout.weight)
    again, other = (BayesNetworks(BayesConfig(neurons=20), digits, seed) for seed in (3, 4))
    for name, value in state.items():
        assert torch.equal(value, again.state_dict()[name]), name
        assert not torch.equal(value, other.state_dict()[name]), name


def test_temperatures_are_those_of_the_images(digits: ImageSet) -> None:
    for dataset in ("mnist", "fashion-mnist"):
        nets = BayesNetworks(BayesConfig(dataset, neurons=5), digits, seed=0)
        for kind in ("soft", "hard"):
            net = nets.long[kind]
            found = net.hidden.inverse_temperature, net.readout_inverse_temperature
            assert found == bayes_networks.TEMPERATURES[dataset]
            assert net.hidden.competition == kind
    assert BayesConfig(inverse_temperature=5.0).temperatures == (5.0, 50.0)
    given = BayesConfig("fashion-mnist", readout_inverse_temperature=7.0)
    assert given.temperatures == (400.0, 7.0)


def test_each_network_has_a_rate_of_its_own() -> None:
    config = BayesConfig(readout_rate=0.1, backprop_rate=0.2, backprop_unit_rate=0.3)
    assert [config.adam_rate(kind) for kind in KINDS] == [0.1, 0.1, 0.2, 0.3]

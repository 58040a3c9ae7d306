import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from plastorch.experiments.registry import panels_of
from plastorch.experiments.softhebb.bayes_panels import ATTACKS, NAMES, _strips, panels
from plastorch.report import write_report
from plastorch.report.load import RunData
from plastorch.report.theme import DARK, LIGHT, to_png

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
CLASSES = ["zero", "one", "two", "three"]
KINDS = list(NAMES)
PANELS = ["speed-of-learning", "cross-entropy", "robustness", "between-soft", "between-backprop"]


def course(phase: str, count: int = 5) -> list[dict]:
    return [
        {
            "phase": phase,
            "step": 4**i,
            "test_accuracy": 1 - 0.8 / (i + 1) - len(phase) / 1000,
            "cross_entropy": 2 / (i + 1) + len(phase) / 1000,
        }
        for i in range(count)
    ]


def rows() -> list[dict]:
    phases = itertools.product(("once", "again", "long"), KINDS)
    return [row for when, kind in phases for row in course(f"{when}-{kind}")]


def curves() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        f"accuracy_{attack}_{kind}": np.stack([np.linspace(0, 2, 6), random.random(6)])
        for attack in ATTACKS
        for kind in KINDS
    }


def between(count: int = 3, strengths: int = 12, channels: int = 1) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    arrays = {
        "interpolated_start": random.random((count, channels, 8, 8)).astype(np.float32),
        "interpolated_classes": np.stack([np.arange(count) % 4, (np.arange(count) + 1) % 4]),
    }
    for kind in KINDS:
        shape = (strengths, count, channels, 8, 8)
        arrays[f"interpolated_{kind}"] = random.random(shape).astype(np.float32)
        p = random.random((2, strengths, count)) / 2
        arrays[f"interpolated_{kind}_p"] = p.astype(np.float32)
    return arrays


def run(logged=(), classes=CLASSES, **arrays) -> RunData:
    return RunData(Path("run"), {"data": {"classes": classes}}, list(logged), arrays)


def names(found: RunData) -> list[str]:
    return [panel.name for panel in panels(found)]


@THEMES
def test_figures_show_what_was_logged(theme):
    full = run(rows(), **curves(), **between())
    drawn = {panel.name: panel.draw(theme).axes for panel in panels(full)}
    for name, field, factor in (
        ("speed-of-learning", "test_accuracy", 100),
        ("cross-entropy", "cross_entropy", 1),
    ):
        (axes,) = drawn[name]
        assert axes.get_xscale() == "log" and axes.get_xlabel() == "mini-batches seen"
        phase = "once" if factor == 100 else "again"
        for kind, line in zip(KINDS, axes.lines, strict=True):
            assert line.get_xdata().tolist() == [1, 4, 16, 64, 256]
            expected = [factor * row[field] for row in course(f"{phase}-{kind}")]
            np.testing.assert_allclose(line.get_ydata(), expected)
    for axes, attack in zip(drawn["robustness"], ATTACKS, strict=True):
        assert axes.get_title(loc="left") == ATTACKS[attack]
        strengths, accuracies = curves()[f"accuracy_{attack}_hard"]
        np.testing.assert_allclose(axes.lines[1].get_data(), [strengths, 100 * accuracies])


@pytest.mark.parametrize(("strengths", "shown"), [(12, [0, 2, 4, 6, 7, 9, 11]), (2, [0, 1])])
def test_images_between_classes_are_a_row_each_the_clean_one_first(strengths, shown):
    arrays = between(strengths=strengths)
    start, images, p = (arrays[f"interpolated_{n}"] for n in ("start", "soft", "soft_p"))
    pairs = [("zero", "one"), ("one", "two"), ("two", "three")]
    for n, strip in enumerate(_strips(start, images, p, pairs)):
        assert strip.title == " → ".join(pairs[n]) and list(strip.words) == list(pairs[n])
        np.testing.assert_array_equal(strip.images[""], [start[n], *images[shown, n]])
        for row, words in enumerate(strip.words.values()):
            assert words == ["", *(f"{100 * p[row, s, n]:.0f} %" for s in shown)]


def test_panels_are_there_if_their_data_is():
    full = run(rows(), **curves(), **between())
    assert names(full) == PANELS
    for panel in panels(full):
        for theme in (LIGHT, DARK):
            to_png(panel.draw(theme), dpi=40)
    assert names(run(rows())) == PANELS[:2]
    assert names(run(**curves())) == ["robustness"]
    assert names(run(**between())) == ["between-soft", "between-backprop"]
    assert names(run(course("once-soft"))) == ["speed-of-learning"]
    assert names(run(course("again-hard"))) == ["cross-entropy"]
    assert names(run(course("long-soft") + course("judge"))) == []


def test_captions_tell_where_the_lines_end():
    found = {panel.name: panel for panel in panels(run(rows()))}
    ends = {kind: course(f"once-{kind}")[-1]["test_accuracy"] for kind in KINDS}
    for kind, end in ends.items():
        assert f"{NAMES[kind]} {100 * end:.1f} %" in found["speed-of-learning"].caption
        assert f"{NAMES[kind]} {100 * end:.1f} %" in found["speed-of-learning"].alt
    first, *_, last = course("again-soft")
    told = f"SoftHebb from {first['cross_entropy']:.2f} to {last['cross_entropy']:.2f}"
    assert told in found["cross-entropy"].caption and told in found["cross-entropy"].alt
    assert all(panel.alt for panel in panels(run(rows(), **curves(), **between())))


def test_an_interrupted_run_draws_the_networks_it_has():
    logged = course("once-soft") + course("again-soft", 3) + course("once-hard", 1)
    speed, loss = panels(run(logged))
    assert [len(line.get_xdata()) for line in speed.draw(LIGHT).axes[0].lines] == [5, 1]
    assert [len(line.get_xdata()) for line in loss.draw(LIGHT).axes[0].lines] == [3]
    arrays = {n: a for n, a in curves().items() if n in ("accuracy_l2_soft", "accuracy_noise_hard")}
    (panel,) = panels(run(**arrays))
    figure = panel.draw(DARK)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [ATTACKS["noise"], ATTACKS["l2"]]
    assert [len(axes.lines) for axes in figure.axes] == [1, 1]


@pytest.mark.parametrize(
    "change",
    [
        {"test_accuracy": "high", "cross_entropy": None},
        {"step": "first"},
        {"step": 0},
        {"step": -3},
    ],
    ids=str,
)
def test_damaged_rows_are_left_out(change):
    assert names(run([row | change for row in rows()])) == []
    found = run([*rows(), *(row | change for row in course("once-soft"))])
    assert names(found) == PANELS[:2]
    assert len(panels(found)[0].draw(LIGHT).axes[0].lines[0].get_xdata()) == 5


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_of_a_diverged_run_can_be_drawn(bad):
    logged = [row | {"test_accuracy": bad, "cross_entropy": bad} for row in rows()]
    lost = {name: np.full_like(a, bad) for name, a in curves().items()}
    found = panels(run(logged, **lost))
    assert [panel.name for panel in found] == PANELS[:3]
    for panel in found:
        to_png(panel.draw(LIGHT), dpi=40)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros(6), np.zeros((3, 6)), np.zeros((2, 6, 1)), np.zeros(()), np.zeros((6, 2))],
    ids=lambda array: str(array.shape),
)
def test_curves_of_the_wrong_shape_are_left_out(wrong):
    assert names(run(**dict.fromkeys(curves(), wrong))) == []
    (panel,) = panels(run(**curves() | {"accuracy_l2_soft": wrong}))
    assert [len(axes.lines) for axes in panel.draw(LIGHT).axes] == [5, 5, 4, 5, 5]


GOOD = between()
DAMAGED = {
    "no start": {"interpolated_start": None},
    "no classes": {"interpolated_classes": None},
    "flat start": {"interpolated_start": np.zeros((3, 64))},
    "a number": {"interpolated_start": np.zeros(())},
    "two channels": {
        name: array.repeat(2, axis=-3)
        for name, array in GOOD.items()
        if name in ("interpolated_start", "interpolated_soft", "interpolated_backprop")
    },
    "fewer starts": {"interpolated_start": GOOD["interpolated_start"][:2]},
    "no images at all": {
        name: array[..., :0] if name.endswith(("_p", "classes")) else array[..., :0, :, :, :]
        for name, array in GOOD.items()
    },
    "fewer classes": {"interpolated_classes": GOOD["interpolated_classes"][:, :2]},
    "three classes each": {"interpolated_classes": np.zeros((3, 3), np.int64)},
    "unknown class": {"interpolated_classes": GOOD["interpolated_classes"] + 2},
    "negative class": {"interpolated_classes": GOOD["interpolated_classes"] - 1},
    "broken classes": {"interpolated_classes": GOOD["interpolated_classes"] / 2},
    "classes that are nan": {"interpolated_classes": np.full((2, 3), np.nan)},
}


@pytest.mark.parametrize("how", DAMAGED)
def test_damaged_images_are_left_out(how):
    arrays = {name: array for name, array in (GOOD | DAMAGED[how]).items() if array is not None}
    assert names(run(**arrays)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"interpolated_soft": None},
        {"interpolated_soft_p": None},
        {"interpolated_soft": GOOD["interpolated_soft"][:, :2]},
        {"interpolated_soft": GOOD["interpolated_soft"][0]},
        {"interpolated_soft": np.zeros(())},
        {"interpolated_soft_p": GOOD["interpolated_soft_p"][0]},
        {"interpolated_soft_p": GOOD["interpolated_soft_p"][:, :5]},
        {
            "interpolated_soft": np.zeros((0, 3, 1, 8, 8)),
            "interpolated_soft_p": np.zeros((2, 0, 3)),
        },
    ],
    ids=str,
)
def test_damage_to_one_network_leaves_the_others(change):
    arrays = {name: array for name, array in (GOOD | change).items() if array is not None}
    assert names(run(**arrays)) == ["between-backprop"]


def test_classes_without_names_have_no_images_between_them():
    for classes in (None, [], CLASSES[:2]):
        assert names(run(classes=classes, **GOOD)) == []
    hostile = run(classes=[r"$\frac{1$", "<script>", "a very long name", 7], **GOOD)
    first, _ = panels(hostile)
    figure = first.draw(LIGHT)
    to_png(figure, dpi=40)
    assert figure.axes[0].get_title(loc="left").startswith(r"$\frac{1$ → <script>")


def test_phases_that_are_drawn_here_have_no_plain_curves():
    ours = [f"{when}-{kind}" for when in ("once", "again", "long") for kind in KINDS]
    alone = ["judge", "theory", "readouts", "robustness", "interpolation"]
    others = ["readout", "unsupervised", "soft", "", "onces-soft", "once", "long-horizon"]
    logged = [
        {"phase": phase, "step": i, "loss": 1 / i}
        for phase in ours + alone + others
        for i in (1, 2)
    ]
    titles = [panel.title for panel in panels(run(logged))]
    assert titles == [f"Course of “{phase}”" for phase in others]
    theory = [{"phase": "theory", "step": i, "kl": 1 / i} for i in (1, 2)]
    other = [{"phase": "long-horizon", "step": i, "reward": i} for i in (1, 2)]
    found = [panel.name for panel in panels(run([*rows(), *theory, *other]))]
    assert found == [*PANELS[:2], "curves-1"]


def page(folder: Path, make_run, arrays: dict[str, np.ndarray]) -> set[str]:
    """Writes a run of the experiment and its page; returns the figures drawn."""
    result = {"data": {"name": "MNIST", "n_train": 9, "n_test": 9, "classes": CLASSES}}
    made = make_run(folder, experiment="softhebb-bayes", changes=result)
    (made / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()))
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()},
              made / "arrays.safetensors")  # fmt: skip
    html = write_report(made, panels_of).read_text()
    assert "One pass over the images" in html
    return {path.stem for path in (made / "figures").glob("*.png")}


def test_the_page_of_a_run_has_its_figures(make_run, tmp_path):
    made = page(tmp_path, make_run, curves() | between())
    assert made == {*PANELS, "thumbnail"}


def test_damaged_arrays_leave_the_page_whole(make_run, tmp_path):
    bad = {name: array[:1] for name, array in (curves() | between()).items()}
    assert page(tmp_path, make_run, bad) == {*PANELS[:2], "thumbnail"}

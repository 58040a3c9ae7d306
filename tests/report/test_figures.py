import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib import rcParams
from PIL import Image

from plastorch.engine.errors import InputError
from plastorch.report import figures
from plastorch.report.theme import DARK, LIGHT, to_png

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])


def layer_rows(count: int = 20) -> dict[int, list[dict[str, float]]]:
    random = np.random.default_rng(0)
    return {
        layer: [
            {
                "examples": 100 * (step + 1),
                "radius_mean": random.uniform(1, 9),
                "radius_std": random.uniform(0, 1),
                "winner_probability": random.uniform(0, 1),
            }
            for step in range(count)
        ]
        for layer in (0, 2)
    }


@THEMES
def test_learning_curve_draws_the_metrics(theme):
    rows = [
        {"epoch": e, "train_accuracy": 0.5 + e / 100, "test_accuracy": 0.4 + e / 90}
        for e in range(1, 31)
    ]
    (axes,) = figures.learning_curve(rows, theme).axes
    lines = {line.get_label(): line for line in axes.lines}
    for name in ("test", "train"):
        assert lines[name].get_xdata().tolist() == [row["epoch"] for row in rows]
        expected = [100 * row[f"{name}_accuracy"] for row in rows]
        np.testing.assert_allclose(lines[name].get_ydata(), expected)
    assert lines["test"].get_linestyle() != lines["train"].get_linestyle()


def test_weight_norms_has_a_panel_per_layer_with_band_and_unit_radius():
    layers = layer_rows()
    figure = figures.weight_norms(layers)
    assert len(figure.axes) == 2
    for axes, rows in zip(figure.axes, layers.values(), strict=True):
        mean = np.array([row["radius_mean"] for row in rows])
        spread = np.array([row["radius_std"] for row in rows])
        line, unit = axes.lines
        assert line.get_xdata().tolist() == [row["examples"] for row in rows]
        assert line.get_ydata().tolist() == mean.tolist()
        assert list(unit.get_ydata()) == [1, 1]
        box = axes.collections[0].get_datalim(axes.transData)
        assert box.y0 == pytest.approx((mean - spread).min())
        assert box.y1 == pytest.approx((mean + spread).max())
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "layer 1: radius r",
        "layer 3: radius r",
    ]


def test_probabilities_have_a_line_per_layer():
    layers = layer_rows()
    winners = figures.winner_probability(layers).axes[0].lines
    for index, rows in enumerate(layers.values()):
        assert winners[index].get_ydata().tolist() == [row["winner_probability"] for row in rows]


@pytest.mark.parametrize("count", [1, 3, 5, 8])
def test_the_legend_leaves_the_curves_their_room(count):
    layers = {layer: layer_rows()[0] for layer in range(count)}
    figure = figures.winner_probability(layers)
    to_png(figure, dpi=50)
    (axes,) = figure.axes
    assert axes.get_position().width > 0.75 and axes.get_position().height > 0.5
    box = axes.get_legend().get_window_extent().transformed(figure.transFigure.inverted())
    assert box.x0 >= 0 and box.x1 <= 1 and box.y1 <= 1


def test_examples_are_on_a_log_axis_only_over_a_decade():
    wide, narrow = layer_rows(20), layer_rows(3)
    zero = {0: [{"examples": 0, "winner_probability": 1.0}, *wide[0]]}
    scales = [figures.winner_probability(d).axes[0].get_xscale() for d in (wide, narrow, zero)]
    assert scales == ["log", "linear", "linear"]


@THEMES
def test_diverged_and_single_points_can_be_drawn(theme):
    rows = [{"examples": 10, "radius_mean": np.inf, "radius_std": np.nan}]
    to_png(figures.weight_norms({0: rows}, theme), dpi=50)
    line = figures.learning_curve([{"epoch": 1, "train_accuracy": 0, "test_accuracy": 1}]).axes[0]
    assert line.lines[0].get_marker() == "o"


def test_mosaic_agrees_with_a_naive_loop():
    filters = np.random.default_rng(1).normal(size=(7, 3, 5, 5)).astype(np.float32)
    picture = figures.mosaic(filters)
    size, gap, columns = 25, 2, 4  # 5 pixels enlarged 5 times; ceil(sqrt(1.5 * 7)) columns
    assert picture.shape == (2 * (size + gap) - gap, columns * (size + gap) - gap, 4)
    for place, kernel in enumerate(filters.astype(float)):
        scaled = (kernel - kernel.min()) / (kernel.max() - kernel.min())
        for i in range(size):
            for j in range(size):
                top, left = place // columns * (size + gap), place % columns * (size + gap)
                pixel = picture[top + i, left + j]
                np.testing.assert_allclose(pixel[:3], scaled[:, i // 5, j // 5])
                assert pixel[3] == 1
    assert picture[size : size + gap, :, 3].max() == 0
    assert picture[size + gap :, 3 * (size + gap) :, 3].max() == 0  # no eighth tile


def test_gray_filters_and_constant_filters():
    kernel = np.arange(4.0).reshape(1, 1, 2, 2)
    picture = figures.mosaic(np.concatenate([kernel, np.full((1, 1, 2, 2), 7.0)]))
    assert (picture[..., 0] == picture[..., 2]).all()
    assert picture[:, :24].max() == 1 and (picture[:, 26:, :3] == 0.5).all()


def test_many_filters_are_sampled_evenly_over_their_order():
    spreads = np.random.default_rng(0).permutation(1000) + 1.0
    filters = spreads[:, None, None, None] * np.array([[[-1.0, 1.0]]])
    picture = figures.mosaic(filters, limit=4)
    opaque = picture[..., 3].sum() / (12 * 2 * 12)
    assert opaque == 4
    assert figures.mosaic(filters).shape[1] < 14 * (24 + 2)


def test_diverged_filters_are_gray():
    filters = np.random.default_rng(0).normal(size=(2, 1, 3, 3))
    filters[1, 0, 0, 0] = np.inf
    picture = figures.mosaic(filters)
    assert (picture[:, 26:, :3] == 0.5).all()


@pytest.mark.parametrize("shape", [(4, 2, 5, 5), (4, 25), (0, 3, 5, 5)])
def test_filters_that_are_no_pictures_are_refused(shape):
    with pytest.raises(InputError, match="filters: expected"):
        figures.receptive_fields(np.zeros(shape))


@settings(max_examples=20)
@given(arrays(np.int64, st.integers(1, 10).map(lambda n: (n, n)), elements=st.integers(0, 9999)))
def test_confusion_shows_the_matrix(matrix):
    classes = [str(index) for index in range(len(matrix))]
    axes = figures.confusion(matrix, classes).axes[0]
    image = axes.images[0].get_array()
    for row, total in enumerate(matrix.sum(axis=1)):
        for col, count in enumerate(matrix[row]):
            assert image[row, col] == pytest.approx(100 * count / total if total else 0)
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    expected = {(c, r): str(n) for (r, c), n in np.ndenumerate(matrix) if n}
    assert texts == expected


def test_confusion_of_many_classes_is_an_image_without_text():
    matrix = np.eye(1000, dtype=np.int64)
    axes = figures.confusion(matrix, [f"class {k}" for k in range(1000)]).axes[0]
    assert not axes.texts and axes.images[0].get_array().shape == (1000, 1000)


@THEMES
def test_hostile_and_long_class_names_are_drawn_as_they_are(theme):
    names = [r"$\frac{1$", "<script>", "漢字 and more of it\nnext line"]
    figure = figures.confusion(np.eye(3, dtype=np.int64), names, theme)
    to_png(figure, dpi=50)
    drawn = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert drawn == [r"$\frac{1$", "<script>", "漢字 and more…"]


@pytest.mark.parametrize(("shape", "count"), [((3, 3), 4), ((2, 3), 3)])
def test_confusion_refuses_names_that_do_not_fit(shape, count):
    with pytest.raises(InputError, match="confusion"):
        figures.confusion(np.zeros(shape, np.int64), ["x"] * count)


def test_field_curves_have_a_panel_per_field():
    rows = [{"step": s, "reward": s**2, "$loss": -s} for s in range(5)]
    figure = figures.field_curves(rows, "step", ["reward", "$loss"])
    assert [a.lines[0].get_ydata().tolist() for a in figure.axes] == [
        [0, 1, 4, 9, 16],
        [0, -1, -2, -3, -4],
    ]
    assert figure.axes[1].get_title(loc="left") == "$loss"


def test_figures_are_crisp_and_leave_matplotlib_alone(tmp_path):
    before = dict(rcParams)
    rows = [{"epoch": 1, "train_accuracy": 0.1, "test_accuracy": 0.2}]
    png = to_png(figures.learning_curve(rows))
    assert dict(rcParams) == before
    (tmp_path / "a.png").write_bytes(png)
    with Image.open(tmp_path / "a.png") as image:
        assert image.width >= 4.8 * 160
    assert png == to_png(figures.learning_curve(rows))


def test_thumbnail_prefers_filters():
    filters = np.random.default_rng(0).normal(size=(50, 1, 3, 3))
    assert figures.thumbnail(filters, [0.1, 0.2]).axes[0].images
    assert not figures.thumbnail(None, [0.1, 0.2]).axes[0].images

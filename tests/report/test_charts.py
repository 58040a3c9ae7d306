"""Charts: what they draw, on which axes, and what they refuse."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib import rcParams

from plastorch.engine.errors import InputError
from plastorch.report import charts
from plastorch.report.charts import Dots, Line, Matrix, Plot, Spread, Strip
from plastorch.report.charts.raster import unit_of_time
from plastorch.report.theme import DARK, LIGHT, WIDTH, Theme, legend_rows, to_png

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
STEPS = np.arange(1.0, 21.0)


def looks(line: Any) -> tuple[object, object]:
    return line.get_color(), line.get_linestyle()


def legend(figure: Any) -> list[str]:
    return [text.get_text() for box in figure.legends for text in box.get_texts()]


def test_lines_of_one_name_look_alike_in_all_plots() -> None:
    parts = {"loss": {"test": [STEPS, 1 / STEPS], "train": [STEPS, STEPS]},
             "error": {"train": [STEPS, STEPS**2]}}  # fmt: skip
    upper, lower = charts.lines(parts, x="epoch").axes
    assert [axes.get_title(loc="left") for axes in (upper, lower)] == ["loss", "error"]
    assert lower.lines[0].get_xydata().tolist() == np.stack([STEPS, STEPS**2], 1).tolist()
    assert looks(upper.lines[1]) == looks(lower.lines[0]) != looks(upper.lines[0])
    assert (upper.get_xlabel(), lower.get_xlabel()) == ("", "epoch")
    assert legend(upper.figure) == ["test", "train"]


def test_a_long_title_goes_on_in_a_second_line() -> None:
    name = "an LSTM that learns from varied images, of whose answers none crosses"
    figure = charts.lines({name: {"right": [STEPS, STEPS]}})
    to_png(figure)
    (title,) = (text for text in figure.axes[0].get_children() if name in str(text))
    box = title.get_window_extent()
    assert box.x1 <= figure.bbox.x1 and box.height > 1.8 * title.get_fontsize()


def test_a_band_lies_around_its_line() -> None:
    (axes,) = charts.lines({"": {"radius": [STEPS, STEPS, STEPS - 1, STEPS + 2]}}).axes
    edges = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == (0, 22)


@pytest.mark.parametrize(("count", "marked"), [(1, True), (12, True), (13, False)])
def test_few_points_have_markers(count: int, marked: bool) -> None:
    (axes,) = charts.lines({"": {"": [np.arange(count), np.arange(count)]}}).axes
    assert (axes.lines[0].get_marker() == "o") == marked


@pytest.mark.parametrize(
    ("first", "scale"), [(1.0, "log"), (0.0, "linear"), (-1.0, "linear"), (np.nan, "linear")]
)
def test_axes_are_logarithmic_where_all_values_are_positive(first: float, scale: str) -> None:
    values = np.array([first, 10.0, 1000.0])
    figure = charts.lines({"a": {"": [values, values]}, "b": {"": [[1, 2], [3, 4]]}}, log="xy")
    assert [axes.get_xscale() for axes in figure.axes] == [scale, scale]
    assert [axes.get_yscale() for axes in figure.axes] == [scale, "log"]
    to_png(figure, dpi=50)


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [("%", 50.0, "50 %"), ("", 0.5, "0.5"), ("s", 0.02, "20 ms"), ("nats", 1.0, "1 nats")],
)
def test_numbers_have_their_unit(unit: str, value: float, text: str) -> None:
    (axes,) = charts.lines({"": {"": [[0, 1], [0, value]]}}, y_unit=unit).axes
    assert axes.yaxis.get_major_formatter()(value) == text


def test_epochs_are_whole_and_many_steps_are_in_thousands() -> None:
    (epochs,) = charts.lines({"": {"": [[1, 2, 3], [0, 1, 2]]}}).axes
    assert all(tick % 1 == 0 for tick in epochs.get_xticks())
    (steps,) = charts.lines({"": {"": [[0, 40_000], [0, 1]]}}).axes
    assert steps.xaxis.get_major_formatter()(20_000) == "20k"


def test_ranges_ticks_and_reference_lines_are_as_told() -> None:
    line = Line(x=[1, 2], y=[3, 4], labels=["a", "b"], joined=False)
    plot = Plot(marks=[line], y_range=(0, 9), x_ticks={1.0: "one"}, y_ticks={2.0: "two"},
                at_x=[1.5], at_y=[3.5], down=True)  # fmt: skip
    (axes,) = charts.chart(plot).axes
    assert axes.get_ylim() == (9, 0)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["one"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["two"]
    assert [text.get_text() for text in axes.texts] == ["a", "b"]
    points, upright, level = axes.lines
    assert points.get_linestyle() == "None"
    assert set(upright.get_xdata()) == {1.5} and set(level.get_ydata()) == {3.5}


@THEMES
def test_shaded_dots_have_a_scale_and_the_largest_on_top(theme: Theme) -> None:
    plot = Plot(marks=[Dots(x=[1, 2, 3], y=[4, 5, 6], values=[0.5, 0.9, 0.1])])
    axes, bar = charts.chart(plot, theme=theme).axes
    (dots,) = axes.collections
    assert dots.get_array().tolist() == [0.1, 0.5, 0.9]
    assert dots.get_offsets()[-1].tolist() == [2, 5] and bar.get_ylim()[1] < 0.9


@THEMES
def test_a_matrix_has_its_border_and_one_scale_for_all(theme: Theme) -> None:
    values = np.array([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    matrix = Matrix(values=values, low=0, high=1, border=values - 0.5, scale="AUC")
    figure = charts.chart(Plot(marks=[matrix]), Plot(marks=[matrix]), theme=theme)
    upper, lower, bar = figure.axes
    assert lower.images[0].get_array().tolist() == values.tolist()
    assert lower.get_ylim() == (-0.5, 1.5) and bar.get_xlabel() == "AUC"
    border = upper.collections[0].get_paths()[0].vertices
    assert border[:, 0].min() == pytest.approx(0.5) and border[:, 0].max() == pytest.approx(1.5)
    to_png(figure, dpi=50)


@pytest.mark.parametrize("count", [1, 3, 5, 8])
def test_the_legend_leaves_the_curves_their_room(count: int) -> None:
    curves = {f"layer {layer}": [STEPS, STEPS + layer] for layer in range(count)}
    figure = charts.lines({"": curves})
    to_png(figure, dpi=50)
    (axes,) = figure.axes
    assert axes.get_position().width > 0.75 and axes.get_position().height > 0.5
    box = figure.legends[0].get_window_extent().transformed(figure.transFigure.inverted())
    assert box.x0 >= 0 and box.x1 <= 1 and box.y1 <= 1 and box.y0 > axes.get_position().y1


@THEMES
def test_points_have_a_row_each_and_a_mark_per_name(theme: Theme) -> None:
    rows = {"flip": {"found": 0.9, "most frequent": 0.5},
            "shift": {"found": Spread(0.3, 0.2, 0.6, [0.1, 0.5])}}  # fmt: skip
    figure = charts.points({"": rows}, x="share", at_x=[0], theme=theme)
    (axes,) = figure.axes
    marks = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert marks["found"] == [[0.9, 0], [0.3, 1]] and marks["most frequent"] == [[0.5, 0]]
    assert axes.collections[0].get_segments()[-1].tolist() == [[0.2, 1], [0.6, 1]]
    np.testing.assert_allclose(axes.collections[1].get_offsets(), [[0.1, 1.24], [0.5, 1.24]])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["flip", "shift"]
    assert legend(figure) == ["found", "most frequent"] and axes.get_xlabel() == "share"
    assert not charts.points({"a": {"b": {"": 1.0}}, "c": {"d": {"": 2.0}}}).legends


def test_ten_names_have_marks_that_differ() -> None:
    figure = charts.points({"": {"row": {f"name {n}": float(n) for n in range(10)}}})
    (axes,) = figure.axes
    looks = {(line.get_marker(), line.get_color()) for line in axes.lines if len(line.get_xdata())}
    assert len(looks) >= 10


@THEMES
def test_the_plane_has_a_mark_per_class(theme: Theme) -> None:
    random = np.random.default_rng(0)
    points, labels = random.normal(size=(200, 2)), random.integers(0, 10, 200)
    classes = [f"class {k}" for k in range(10)]
    figure = charts.plane(points, labels, classes, theme=theme)
    (axes,) = figure.axes
    for index, dots in enumerate(axes.collections):
        np.testing.assert_allclose(dots.get_offsets(), points[labels == index])
    assert len({tuple(dots.get_facecolor()[0]) for dots in axes.collections}) == 10
    assert legend(figure) == classes
    assert not charts.plane(points, labels, [*classes, "more"]).legends


@pytest.mark.parametrize(
    ("shape", "labels"), [((3, 2), [0, 1]), ((2, 3), [0, 1]), ((2, 2), [0, 2]), ((0, 2), [])]
)
def test_a_plane_that_does_not_fit_is_refused(shape: tuple[int, int], labels: list[int]) -> None:
    with pytest.raises(InputError, match="plane: expected points"):
        charts.plane(np.zeros(shape), np.array(labels, dtype=int), ["a", "b"])


@settings(max_examples=20)
@given(arrays(np.int64, st.integers(1, 10).map(lambda n: (n, n)), elements=st.integers(0, 9999)))
def test_confusion_shows_the_matrix(matrix: Any) -> None:
    axes = charts.confusion(matrix, [str(index) for index in range(len(matrix))]).axes[0]
    image = axes.images[0].get_array()
    for row, total in enumerate(matrix.sum(axis=1)):
        for col, count in enumerate(matrix[row]):
            assert image[row, col] == pytest.approx(100 * count / total if total else 0)
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts == {(c, r): str(n) for (r, c), n in np.ndenumerate(matrix) if n}


def test_confusion_of_many_classes_is_an_image_without_text() -> None:
    matrix = np.eye(1000, dtype=np.int64)
    axes = charts.confusion(matrix, [f"class {k}" for k in range(1000)]).axes[0]
    assert not axes.texts and axes.images[0].get_array().shape == (1000, 1000)


@pytest.mark.parametrize(("shape", "count"), [((3, 3), 4), ((2, 3), 3)])
def test_confusion_refuses_names_that_do_not_fit(shape: tuple[int, int], count: int) -> None:
    with pytest.raises(InputError, match="confusion"):
        charts.confusion(np.zeros(shape, np.int64), ["x"] * count)


def test_hostile_and_long_names_are_drawn_as_they_are() -> None:
    names = [r"$\frac{1$", "<script>", "漢字 and more of it\nnext line"]
    figure = charts.confusion(np.eye(3, dtype=np.int64), names)
    to_png(figure, dpi=50)
    drawn = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert drawn == [r"$\frac{1$", "<script>", "漢字 and more…"]
    hostile = r"$\frac{1$"
    to_png(charts.lines({hostile: {hostile: [[1], [2]]}}, x=hostile), dpi=50)
    to_png(charts.points({hostile: {hostile: {hostile: 1.0}}}), dpi=50)
    to_png(charts.plane(np.eye(2), np.arange(2), [hostile, "b"]), dpi=50)
    strip = Strip(images={hostile: np.ones((1, 1, 2, 2))}, words={hostile: [hostile]})
    to_png(charts.strips([strip]), dpi=50)


def test_tiles_agree_with_a_naive_loop() -> None:
    weights = np.random.default_rng(1).normal(size=(7, 3, 5, 5)).astype(np.float32)
    picture = charts.images({"": charts.filters(weights)}).axes[0].images[0].get_array()
    size, gap, columns = 25, 2, 4  # 5 pixels enlarged 5 times; ceil(sqrt(1.5 * 7)) columns
    assert picture.shape == (2 * (size + gap) - gap, columns * (size + gap) - gap, 4)
    for place, kernel in enumerate(weights.astype(float)):
        scaled = (kernel - kernel.min()) / (kernel.max() - kernel.min())
        top, left = place // columns * (size + gap), place % columns * (size + gap)
        for i, j in itertools.product(range(size), repeat=2):
            pixel = picture[top + i, left + j]
            np.testing.assert_allclose(pixel, [*scaled[:, i // 5, j // 5], 1], atol=1e-6)
    assert picture[size : size + gap, :, 3].max() == 0
    assert picture[size + gap :, 3 * (size + gap) :, 3].max() == 0  # no eighth tile


@pytest.mark.parametrize("bad", [7.0, np.nan, np.inf, -np.inf])
def test_constant_and_diverged_filters_are_gray(bad: float) -> None:
    weights = np.arange(8.0).reshape(2, 1, 2, 2)
    weights[1] = np.where(np.isfinite(bad), bad, [[bad, 1], [2, 3]])
    assert charts.filters(weights)[0].ravel().tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert (charts.filters(weights)[1] == 0.5).all()


def test_many_filters_are_sampled_evenly() -> None:
    weights = np.random.default_rng(0).normal(size=(1000, 1, 1, 2))
    assert len(charts.filters(weights)) == charts.MAX_TILES
    ends = charts.filters(weights, most=2)
    np.testing.assert_array_equal(ends, charts.filters(weights[[0, -1]]))


@THEMES
def test_images_are_as_wide_as_the_page_and_titled(theme: Theme) -> None:
    random = np.random.default_rng(0)
    parts = {"edges": random.random((24, 3, 5, 5)), "": random.random((11, 1, 26, 26))}
    parts[""][1] = np.nan
    figure = charts.images(parts, columns=8, theme=theme)
    first, second = (axes.images[0].get_array() for axes in figure.axes)
    assert first.shape == (3 * 25 + 2 * 2, 8 * 25 + 7 * 2, 4)
    np.testing.assert_allclose(second[:26, :26, 0], parts[""][0, 0])
    assert (second[:26, 28:54, :3] == 0.5).all() and second[28:, 3 * 28 :, 3].max() == 0
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["edges", ""]
    for axes, picture in zip(figure.axes, (first, second), strict=True):
        box = axes.get_position()
        width, height = figure.get_size_inches() * (box.width, box.height)
        assert width == pytest.approx(WIDTH)
        assert height / width == pytest.approx(picture.shape[0] / picture.shape[1])


@pytest.mark.parametrize("shape", [(4, 2, 5, 5), (4, 25), (0, 3, 5, 5)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="images: expected"):
        charts.images({"": np.zeros(shape)})


@THEMES
def test_strips_have_rows_of_images_and_of_words(theme: Theme) -> None:
    frames = np.random.default_rng(0).random((3, 1, 4, 4))
    strip = Strip(images={"frame": frames, "rest": frames}, words={"CNN": ["3", "7", ""]},
                  marked={"CNN": [False, True, False]}, title="a → b")  # fmt: skip
    figure = charts.strips([strip, strip], columns=4, theme=theme)
    upper, lower = figure.axes
    assert upper.get_title(loc="left") == "a → b"
    assert len(upper.images) == 2
    picture = upper.images[0].get_array()
    assert picture.shape == (24, 4 * 24 + 3 * 2, 4) and not picture[:, 78:].any()
    np.testing.assert_allclose(picture[::6, 26:50:6, 0], frames[1, 0])
    assert [text.get_text() for text in upper.texts] == ["frame", "rest", "CNN", "3", "7", ""]
    bold = [text.get_text() for text in upper.texts if text.get_weight() == "bold"]
    assert bold == ["7"]
    assert upper.get_position().y0 > lower.get_position().y1 and lower.get_position().y0 >= 0
    to_png(figure, dpi=50)


def test_strips_that_do_not_fit_are_refused() -> None:
    frames = np.ones((3, 1, 4, 4))
    with pytest.raises(InputError, match=r"as many words as images, found \[2, 3\]"):
        charts.strips([Strip(images={"": frames}, words={"CNN": ["1", "2"]})])


@THEMES
def test_a_raster_has_a_row_per_input_by_group(theme: Theme) -> None:
    groups = {"odd, right": np.array([False, True, False, True]), "even": np.arange(4) % 2 == 0}
    times, source = np.array([0.0, 0.1, 0.2, 0.5]), np.array([0, 1, 3, 3])
    figure = charts.raster(times, source, groups, output=np.array([0.4]), theme=theme)
    (axes,) = figure.axes
    assert axes.get_xlabel() == "milliseconds"
    odd, even = axes.collections
    np.testing.assert_allclose(odd.get_offsets(), [[100, 0], [200, 1], [500, 1]])
    np.testing.assert_allclose(even.get_offsets(), [[0, 2 + 0.12]])
    x, y = axes.lines[0].get_data()
    assert x[0] == x[1] == 400 and y[1] > y[0] > 4
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert labels == ["odd,\nright", "even", "output"]
    to_png(figure, dpi=50)


def test_long_rasters_are_in_seconds() -> None:
    figure = charts.raster(np.array([1.0, 5.0]), np.array([0, 0]), {"all": np.array([True])})
    assert figure.axes[0].get_xlabel() == "seconds"
    assert figure.axes[0].collections[0].get_offsets()[1, 0] == 5


@pytest.mark.parametrize("source", [np.array([0]), np.array([0, 2]), np.array([0, -1])], ids=str)
def test_spikes_of_no_group_are_refused(source: Any) -> None:
    with pytest.raises(InputError, match=r"raster: .* expected as many, of inputs in the 1 groups"):
        charts.raster(np.array([0.1, 0.2]), source, {"all": np.array([True, True])})


@THEMES
def test_numbers_of_a_diverged_run_can_be_drawn(theme: Theme) -> None:
    bad = np.array([1.0, np.nan, np.inf])
    to_png(charts.lines({"": {"": [[1, 2, 3], bad, bad, bad]}}, log="xy", theme=theme), dpi=50)
    to_png(charts.lines({"": {"": [bad, np.full(3, np.nan)]}}, y_range=(0, None)), dpi=50)


def test_figures_are_the_same_each_time_and_leave_matplotlib_alone() -> None:
    before = dict(rcParams)
    pngs = {to_png(charts.lines({"": {"": [[1], [0.1]]}})) for _ in range(2)}
    assert dict(rcParams) == before and len(pngs) == 1


def test_many_lines_can_be_told_apart() -> None:
    for theme in (LIGHT, DARK):
        assert len({tuple(theme.line(index).values()) for index in range(12)}) == 12


def test_legends_and_units_fit_what_is_shown() -> None:
    found = [legend_rows(names) for names in ([], ["slow", "fast"], ["mean of a CNN"] * 3)]
    assert found == [0, 1, 2]
    assert unit_of_time([0.1, 0.2]) == (1000.0, "milliseconds")
    assert unit_of_time([1.0, 60.0]) == (1.0, "seconds")

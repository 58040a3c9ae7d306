from pathlib import Path

import numpy as np
import pytest

from plastorch.engine.errors import InputError
from plastorch.experiments.softhebb.neuron_panels import (
    draw_embedding,
    draw_fields,
    draw_patches,
    embedding,
    fields,
    patches,
)
from plastorch.report.load import RunData
from plastorch.report.theme import DARK, LIGHT, WIDTH, to_png

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def images(count: int, side: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(side).random((count, channels, side, side)).astype(np.float32)


def run(classes=CLASSES, **arrays) -> RunData:
    return RunData(Path("run"), {"data": {"classes": classes}}, [], arrays)


@THEMES
def test_fields_have_an_image_per_layer_as_wide_as_the_page(theme):
    figure = draw_fields({1: images(24, 5), 3: images(11, 26)}, theme)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "layer 1: 5 × 5 pixels",
        "layer 3: 26 × 26 pixels",
    ]
    first, second = (axes.images[0].get_array() for axes in figure.axes)
    assert first.shape == (3 * 25 + 2 * 2, 8 * 25 + 7 * 2, 4)
    np.testing.assert_allclose(second[:26, :26, :3], images(11, 26)[0].transpose(1, 2, 0))
    assert second[28:, 3 * 28 :, 3].max() == 0  # eleven neurons: the second row has three
    for axes, picture in zip(figure.axes, (first, second), strict=True):
        box = axes.get_position()
        width, height = figure.get_size_inches() * (box.width, box.height)
        assert width == pytest.approx(WIDTH)
        assert height / width == pytest.approx(picture.shape[0] / picture.shape[1])
    to_png(figure, dpi=50)


def test_fields_that_hold_nan_and_gray_ones_can_be_drawn():
    pictures = images(2, 5, channels=1)
    pictures[1] = np.nan
    picture = draw_fields({1: pictures}).axes[0].images[0].get_array()
    assert (picture[:, 27:, :3] == 0.5).all()
    assert (picture[..., 0] == picture[..., 2]).all()


@THEMES
def test_patches_have_a_row_per_neuron(theme):
    found = np.random.default_rng(0).integers(0, 256, (4, 10, 3, 12, 12), dtype=np.uint8)
    figure = draw_patches({2: found}, theme)
    picture = figure.axes[0].images[0].get_array()
    assert picture.shape == (4 * 24 + 3 * 2, 10 * 24 + 9 * 2, 4)
    place = picture[2 * 26 : 2 * 26 + 24 : 2, 7 * 26 : 7 * 26 + 24 : 2, :3]
    np.testing.assert_allclose(place, found[2, 7].transpose(1, 2, 0) / 255)
    to_png(figure, dpi=50)


@THEMES
def test_the_embedding_has_a_mark_per_class_and_their_names(theme):
    random = np.random.default_rng(0)
    points, labels = random.normal(size=(200, 2)), random.integers(0, 10, 200)
    figure = draw_embedding(points, labels, CLASSES, theme)
    to_png(figure, dpi=50)
    (axes,) = figure.axes
    assert len(axes.collections) == 10
    for index, collection in enumerate(axes.collections):
        np.testing.assert_allclose(collection.get_offsets(), points[labels == index])
    looks = {(tuple(c.get_facecolor()[0]), len(c.get_paths()[0])) for c in axes.collections}
    assert len({color for color, _ in looks}) == 10
    assert [text.get_text() for text in axes.get_legend().get_texts()] == CLASSES
    box = axes.get_legend().get_window_extent().transformed(figure.transFigure.inverted())
    assert box.x0 >= 0 and box.x1 <= 1 and box.y1 <= 1
    assert axes.get_position().height > 0.6


def test_many_classes_have_no_legend_and_hostile_names_are_drawn_as_they_are():
    points, labels = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30)
    figure = draw_embedding(points, labels, [f"class {k}" for k in range(100)])
    assert figure.axes[0].get_legend() is None
    figure = draw_embedding(points[:2], labels[:2], [r"$\frac{1$", "<script> and more of it"])
    to_png(figure, dpi=50)
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert texts == [r"$\frac{1$", "<script> an…"]


def test_what_cannot_be_drawn_is_refused():
    for shape in ((4, 2, 5, 5), (4, 25), (0, 3, 5, 5)):
        with pytest.raises(InputError, match="receptive fields: expected 4 dimensions"):
            draw_fields({1: np.zeros(shape)})
        with pytest.raises(InputError, match="top patches: expected 5 dimensions"):
            draw_patches({1: np.zeros((1, *shape[:1], *shape[1:]), np.uint8)})
    for points, labels in (((3, 2), [0, 1]), ((2, 3), [0, 1]), ((2, 2), [0, 2]), ((0, 2), [])):
        with pytest.raises(InputError, match="embedding: expected points"):
            draw_embedding(np.zeros(points), np.array(labels, dtype=int), ["a", "b"])


def test_panels_are_there_if_their_arrays_are():
    full = run(
        receptive_fields_layer1=images(4, 5),
        receptive_fields_layer2=images(4, 12),
        top_patches_layer2=np.zeros((4, 10, 3, 12, 12), np.uint8),
        embedding=np.zeros((5, 2), np.float32),
        embedding_labels=np.arange(5),
    )
    assert "5 and 12 pixels wide" in fields(full).caption
    assert "10 patches" in patches(full).caption and "layer 2" in patches(full).alt
    assert "5 test images" in embedding(full).caption
    for panel in (fields(full), patches(full), embedding(full)):
        to_png(panel.draw(DARK), dpi=50)
    assert [make(run()) for make in (fields, patches, embedding)] == [None] * 3


def test_arrays_of_the_wrong_shape_are_left_out():
    wrong = run(
        receptive_fields_layer1=images(4, 5, channels=2),
        receptive_fields_layer2=np.zeros((3, 3)),
        top_patches_layer1=images(4, 5),
        embedding=np.zeros((5, 3), np.float32),
        embedding_labels=np.arange(5),
    )
    assert [make(wrong) for make in (fields, patches, embedding)] == [None] * 3
    points = {"embedding": np.zeros((5, 2)), "embedding_labels": np.arange(5)}
    assert embedding(run(classes=["a"], **points)) is None
    assert embedding(run(classes=None, **points)) is None

from pathlib import Path

import numpy as np

from plastorch.experiments.softhebb.neuron_panels import embedding, fields, patches
from plastorch.report.load import RunData
from plastorch.report.theme import DARK, LIGHT, to_png

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def images(count: int, side: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(side).random((count, channels, side, side)).astype(np.float32)


def run(classes=CLASSES, **arrays) -> RunData:
    return RunData(Path("run"), {"data": {"classes": classes}}, [], arrays)


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


def test_patches_have_a_row_per_neuron():
    found = np.random.default_rng(0).integers(0, 256, (4, 10, 3, 12, 12), dtype=np.uint8)
    axes = patches(run(top_patches_layer1=found)).draw(LIGHT).axes[0]
    assert axes.get_title(loc="left") == "layer 1: 12 × 12 pixels"
    picture = axes.images[0].get_array()
    assert picture.shape == (4 * 24 + 3 * 2, 10 * 24 + 9 * 2, 4)
    place = picture[2 * 26 : 2 * 26 + 24 : 2, 7 * 26 : 7 * 26 + 24 : 2, :3]
    np.testing.assert_allclose(place, found[2, 7].transpose(1, 2, 0) / 255)


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

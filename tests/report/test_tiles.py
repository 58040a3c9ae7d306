import numpy as np
import pytest

from plastorch.report.theme import LIGHT
from plastorch.report.tiles import arrange, bare_image, stretched, tile


def test_stretching_keeps_the_order_and_fills_the_range():
    values = np.array([-3.0, 0.0, 5.0], dtype=np.float32)
    assert stretched(values).tolist() == pytest.approx([0, 3 / 8, 1])


@pytest.mark.parametrize("values", [[2.0, 2.0], [np.nan, 1.0], [np.inf, 1.0], [-np.inf, 0.0]])
def test_what_cannot_be_stretched_is_gray(values):
    assert stretched(np.array(values)).tolist() == [0.5, 0.5]


def test_tiles_repeat_pixels_and_gray_has_three_equal_channels():
    image = np.random.default_rng(0).random((1, 7, 7))
    picture = tile(image)
    assert picture.shape == (28, 28, 4) and (picture[..., 3] == 1).all()
    for y, x in ((0, 0), (27, 3), (13, 20)):
        assert (picture[y, x, :3] == image[0, y // 4, x // 4]).all()
    assert tile(np.ones((3, 26, 26))).shape == (26, 26, 4)


def test_tiles_fill_rows_from_the_left_with_gaps_between():
    tiles = [np.full((3, 4, 4), value) for value in (0.1, 0.2, 0.3)]
    picture = arrange(tiles, columns=2)
    assert picture.shape == (8, 10, 4)
    assert picture[0, 0, 0] == 0.1 and picture[0, 6, 0] == 0.2 and picture[5, 0, 0] == 0.3
    assert (picture[3:5] == 0).all() and (picture[:, 4:6] == 0).all()
    assert (picture[5:, 6:] == 0).all()


def test_a_bare_image_fills_its_figure():
    figure = bare_image(np.ones((10, 40, 4)), 4.8, LIGHT)
    assert figure.get_size_inches().tolist() == pytest.approx([4.8, 1.2])
    assert figure.axes[0].get_position().bounds == (0, 0, 1, 1)

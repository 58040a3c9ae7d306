"""Raster plots."""

import numpy as np
import pytest

from plastorch.engine.errors import InputError
from plastorch.report.raster import draw_raster
from plastorch.report.theme import DARK, LIGHT, Theme, to_png

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])


@THEMES
def test_raster_has_a_row_per_input_by_group(theme: Theme) -> None:
    groups = {"odd, right": np.array([False, True, False, True]), "even": np.arange(4) % 2 == 0}
    times, source = np.array([0.0, 0.1, 0.2, 0.5]), np.array([0, 1, 3, 3])
    figure = draw_raster(times, source, groups, np.array([0.4]), theme)
    (axes,) = figure.axes
    assert axes.get_xlabel() == "milliseconds"
    odd, even, output = (collection for collection in axes.collections)
    np.testing.assert_allclose(odd.get_offsets(), [[100, 0], [200, 1], [500, 1]])
    np.testing.assert_allclose(even.get_offsets(), [[0, 2 + 0.12]])
    assert output.get_segments()[0][0][0] == 400
    assert output.get_segments()[0][0][1] > 4
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert labels == ["odd,\nright", "even", "output"]
    to_png(figure, dpi=50)


def test_long_rasters_are_in_seconds() -> None:
    figure = draw_raster(np.array([1.0, 5.0]), np.array([0, 0]), {"all": np.array([True])})
    assert figure.axes[0].get_xlabel() == "seconds"
    assert figure.axes[0].collections[0].get_offsets()[1, 0] == 5


@pytest.mark.parametrize("source", [np.array([0]), np.array([0, 2]), np.array([0, -1])], ids=str)
def test_spikes_of_no_group_are_refused(source: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"raster: .* expected as many, of inputs in the 1 groups"):
        draw_raster(np.array([0.1, 0.2]), source, {"all": np.array([True, True])})

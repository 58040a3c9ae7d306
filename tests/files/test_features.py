"""Features of records for classical learners, against a naive loop."""

import numpy as np
import polars as pl

from plastorch.files.features import categories, one_hot
from plastorch.files.key import Key


def test_features_are_those_of_a_naive_loop() -> None:
    train = pl.DataFrame(
        {
            "owner": ["ada", None, "bob", "ada"],
            "tags": ["a|b", "|", None, "b"],
            "path": ["/x/y", "x/z/w", "v", None],
            "size": [1.0, 3.0, None, 8.0],
            "hour": [0, 6, 12, 18],
        }
    )
    test = pl.DataFrame(
        {"owner": ["eve"], "tags": ["b|q"], "path": ["x/y/q"], "size": [4.0], "hour": [6]}
    )
    keys = (
        Key("owner", "category", 1),
        Key("tags", "set", 1),
        Key("path", "path", 1, depth=2),
        Key("size", "number", 1),
        Key("hour", "cycle", 1, period=24, width=6),
    )
    one, two = (part.toarray() for part in one_hot(keys, train, test))
    # Columns: missing, ada, bob; empty, missing, a, b; missing, v, x, x/y, x/z;
    # size, missing; cos, sin, missing
    known = np.array([1.0, 3.0, 8.0])
    scaled = [(v - known.mean()) / known.std() for v in (1.0, 3.0, known.mean(), 8.0, 4.0)]
    assert one.shape == (4, 17) and two.shape == (1, 17)
    assert one[:, :3].tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert one[:, 3:7].tolist() == [[0, 0, 1, 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    assert one[:, 7:12].tolist() == [
        [0, 0, 1, 1, 0],
        [0, 0, 1, 0, 1],
        [0, 1, 0, 0, 0],
        [1, 0, 0, 0, 0],
    ]
    np.testing.assert_allclose(one[:, 12], scaled[:4], atol=1e-6)
    assert one[:, 13].tolist() == [0, 0, 1, 0]
    np.testing.assert_allclose(
        one[:, 14:16], np.sqrt(2) * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]]), atol=1e-6
    )
    expected = [0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 0, scaled[4], 0, 0, np.sqrt(2), 0]
    np.testing.assert_allclose(two[0], expected, atol=1e-6)


def test_categories_of_training_records_count_from_one() -> None:
    frame = pl.DataFrame({"owner": ["bob", "ada", "eve"]})
    keys = (Key("owner", "category", 1),)
    assert categories(keys, frame[:2], frame)[1].T.tolist() == [[2, 1, 0]]

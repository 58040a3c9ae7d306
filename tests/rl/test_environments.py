import numpy as np
import pytest
import torch
from numpy.typing import DTypeLike

from plastorch.engine.streams import stream
from plastorch.rl.environments import as_tensor, drawn_action


@pytest.mark.parametrize(
    ("given", "expected"),
    [(np.uint8, torch.uint8), (np.float64, torch.float32), (np.float32, torch.float32)],
)
def test_observations_that_may_only_be_read_are_taken(
    given: DTypeLike, expected: torch.dtype
) -> None:
    """Those of other processes; torch warns of them."""
    array = np.arange(6, dtype=given).reshape(2, 3)
    array.flags.writeable = False
    tensor = as_tensor(array)
    tensor += 1
    assert tensor.dtype == expected and tensor.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert array.max() == 5


def test_actions_are_drawn_by_their_probabilities() -> None:
    policy = torch.tensor([0.0, 1.0, -1.0])
    random = [stream(number) for number in range(4000)]
    found = drawn_action(policy.expand(4000, 3), random)
    shares = np.bincount(found, minlength=3) / 4000
    expected = policy.softmax(0).numpy()
    assert (abs(shares - expected) < 4 * np.sqrt(expected * (1 - expected) / 4000)).all()
    again = [stream(number) for number in range(10)]
    assert drawn_action(policy.expand(10, 3), again).tolist() == found[:10].tolist()

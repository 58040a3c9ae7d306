"""Named random streams of SoftHebb."""

from plastorch.data.images.imageset import Stream as DataStream
from plastorch.hebbian.streams import Stream


def test_no_two_uses_of_a_seed_share_a_number() -> None:
    numbers = [*map(int, Stream), *map(int, DataStream)]  # image sets draw from the same seed
    assert len(set(numbers)) == len(Stream.__members__) + len(DataStream.__members__)

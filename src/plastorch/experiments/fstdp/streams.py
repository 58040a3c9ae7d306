"""Names of the streams of random numbers."""

from enum import IntEnum


class Stream(IntEnum):
    """Uses of random numbers in fstdp-synthetic, and in benchmarks."""

    RESOURCE = 0
    DRIFT = 1
    CONDITIONS = 2
    BOUNDARY = 3
    GRID = 4
    DEVICES = 5
    AGREEMENT = 6
    EXAMPLE = 7
    BENCH = 8


class WeatherStream(IntEnum):
    """Uses of random numbers in fstdp-weather, but those of the records' years."""

    WORLDS = 0


class YearStream(IntEnum):
    """Uses of random numbers within a year of records; devices have their number of pairs."""

    CHANCE = 0

import pytest

from plastorch.report.format import date, duration, headline, measure, number, verdict


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "–"), (0.5, "0.50 s"), (59.94, "59.9 s"), (60, "1 min 00 s"), (3599, "59 min 59 s"),
     (86400, "24 h 00 min"), (float("nan"), "–")],
)  # fmt: skip
def test_duration(seconds, words):
    assert duration(seconds).replace("\u00a0", " ") == words


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("test_accuracy", 0.98765, "98.77 %"), ("accuracy gain", -0.01, "-1.00 %"),
     ("accuracy", 42, "42"), ("loss", 1.23456, "1.235"), ("neurons", 12345, "12 345"),
     ("accuracy", None, "–"), ("accuracy", float("nan"), "nan")],
)  # fmt: skip
def test_measure(name, value, words):
    assert measure(name, value).replace("\u00a0", " ").replace("\u202f", " ") == words


@pytest.mark.parametrize(
    ("stamp", "words"),
    [("20260131-174502-seed0", "31 Jan 2026, 17:45"), ("2026-02-03T08:09:10", "3 Feb 2026, 08:09"),
     ("20269931-174502-seed0", "20269931-174502-seed0"), ("mine", "mine")],
)  # fmt: skip
def test_date(stamp, words):
    assert date(stamp) == words


def test_number_of_other_things():
    assert number("softkrotov") == "softkrotov" and number(False) == "false"


def test_headline_is_never_a_cost():
    assert headline({"peak_memory_gb": 3.0, "readout_s": 1.0}) is None
    assert headline({"reward": 3.0, "test_accuracy": 0.5}) == ("test_accuracy", 0.5)


@pytest.mark.parametrize(
    ("holds", "words"),
    [([], "no claims yet"), ([None], "no claim is asserted"),
     ([True, True], "2 of 2 asserted claims hold"),
     ([False, None, None], "0 of 1 asserted claims hold; 2 are not asserted here")],
)  # fmt: skip
def test_verdict(holds, words):
    assert verdict([{"holds": value} for value in holds]) == words

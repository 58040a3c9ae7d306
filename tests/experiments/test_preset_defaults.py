"""What all experiments' settings have in common: extreme values, presets, JSON."""

import json
import math
from dataclasses import asdict, fields, replace
from typing import Any

import pytest

from plastorch.cli.run import _parse_run
from plastorch.engine.errors import InputError
from plastorch.experiments.preset_defaults import Range, check_setting
from plastorch.experiments.registry import experiments, resolved
from plastorch.experiments.run import settings
from plastorch.experiments.softhebb.config import Cifar10Config
from plastorch.experiments.stec.cifar10 import StecCifar10Config
from plastorch.experiments.stec.stl10 import StecStl10Config

CONFIGS = {resolved(experiment.config): name for name, experiment in experiments().items()}
NUMBERS = (0, -1, math.nan, math.inf, -math.inf, 1e30, 2**63 - 1, 10**20, -(2**63))
OTHERS = ("", (), None, True, "nothing", ("",), {}, (math.nan,), (1e30,), ("nothing",))
TEXT = {"env", "address", "listen", "trained", "roots"}
"""Of which only an experiment's run knows what they name."""


def sensible(name: str, value: Any) -> bool:
    """Whether a value may be that of some setting."""
    return value in ((), None, True, 0) or (name in TEXT and value in ("nothing", ("nothing",)))


@pytest.mark.parametrize("config", CONFIGS, ids=CONFIGS.get)
def test_extreme_values_are_refused_by_name(config: Any) -> None:
    for name in (field.name for field in fields(config)):
        for value in (*NUMBERS, *OTHERS):
            try:
                found = getattr(config(**{name: value}), name)
            except InputError as error:
                assert name in str(error), (name, value, str(error))
            else:
                assert sensible(name, value) and found == value, (name, value)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("stpn-maze", "--size 9001", r"size is 9001: needs about [\d,]+ GB; this machine has \d+"),
        (
            "rank-toy",
            "--hidden-size 1000000",
            "hidden_size is 1000000 and batch_size is 128: needs",
        ),
        ("stec-cifar10", "--width 1000000", "width is 1000000 .*: needs about"),
        ("stec-cifar10", "--seeds 10000", "seeds is 10000 .*: needs about"),
        ("softhebb-cifar10", "--batch-size 1000000", "batch_size is 1000000: needs about 786 GB"),
        (
            "files-system",
            "--neurons 1000000 --hidden 9999",
            "neurons is 1000000 and hidden is 9999",
        ),
        ("files-tables", "--least-hidden 9999 --most-hidden 9999 --least-neurons 999999", "needs"),
        ("softhebb-bayes", "--samples 1000000000", "samples is 1000000000: needs about 160 GB"),
        (
            "softhebb-bayes",
            f"--epochs {10**20}",
            "--epochs: '1.*'; expected a whole number between",
        ),
        ("stpn-pong", f"--envs -{10**20}", "--envs: '-1.*'; expected a whole number"),
        ("files-tables", "--weight-noise nan", "--weight-noise: 'nan'; expected a finite number"),
        ("files-tables", "--weight-noise 1e30", "weight_noise is 1e.30; expected 0 to 1"),
        ("softhebb-mnist", "--on-off 3", "Unrecognized options: 3 after --on-off"),
    ],
)
def test_too_much_for_a_machine_is_refused_in_a_line(
    name: str, options: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plastorch.engine.device.memory", lambda: 24e9)
    with pytest.raises(InputError, match=words):
        _parse_run(resolved(experiments()[name].config), name, options.split())


@pytest.mark.parametrize("config", CONFIGS, ids=CONFIGS.get)
def test_json_gives_the_same_settings(config: Any) -> None:
    for preset in [{}, *({"preset": p} for p in ("best", "paper") if hasattr(config, "preset"))]:
        try:
            made = config(**preset)
        except InputError:  # not every experiment has every preset
            continue
        options = settings(made, seed=0, quick=False, data=None, device="cpu", threads=1)
        kept = json.loads(json.dumps(options))
        assert config(**{name: kept[name] for name in asdict(made)}) == made


@pytest.mark.parametrize(
    ("config", "preset", "given"),
    [
        (Cifar10Config, "best", {"on_off": False, "whitening": None}),
        (StecCifar10Config, "paper", {"optimizer": "sgd", "epochs": 9, "warm_up": 0.5}),
        (StecStl10Config, "paper", {"optimizer": "sgd", "epochs": 100}),
    ],
)
def test_a_preset_keeps_what_was_given(config: Any, preset: str, given: dict[str, Any]) -> None:
    """Even if it is the default."""
    made, untouched = config(preset=preset, **given), config(preset=preset)
    assert {name: getattr(made, name) for name in given} == given
    others = {field.name for field in fields(config)} - set(given)
    assert all(getattr(made, name) == getattr(untouched, name) for name in others)
    assert all(getattr(untouched, name) != value for name, value in given.items())
    assert replace(made, preset=preset) == made
    words = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    words = ["--no-on-off" if word == "--on-off=False" else word for word in words]
    assert _parse_run(config, "x", [*words, f"--preset={preset}"])[1] == made
    assert _parse_run(config, "x", ["--preset", preset])[1] == untouched


def test_ranges_say_what_they_hold() -> None:
    assert str(Range(0, 1, below=True)) == "at least 0 and below 1"
    assert 0.5 in Range(0, 1) and math.nan not in Range(0, 1)
    assert 1 in Range(0, 1) and 1 not in Range(0, 1, below=True)
    check_setting("models", ("lstm", "rnn"), tuple[str, ...])
    with pytest.raises(InputError, match="one of models is 1"):
        check_setting("models", ("lstm", 1), tuple[str, ...])

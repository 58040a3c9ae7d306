"""Every experiment by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from plastorch.engine.errors import InputError, meant
from plastorch.experiments.context import Session
from plastorch.experiments.files import system as files_system
from plastorch.experiments.files import tables as files_tables
from plastorch.experiments.fstdp import synthetic as fstdp_synthetic
from plastorch.experiments.fstdp import weather as fstdp_weather
from plastorch.experiments.rank import mnist as rank_mnist
from plastorch.experiments.rank import speech as rank_speech
from plastorch.experiments.rank import speech_networks as rank_speech_networks
from plastorch.experiments.rank import toy as rank_toy
from plastorch.experiments.softhebb import bayes
from plastorch.experiments.softhebb import config as softhebb_config
from plastorch.experiments.softhebb import deep as softhebb
from plastorch.experiments.stec import audio as stec_audio
from plastorch.experiments.stec import cifar10 as stec_cifar10
from plastorch.experiments.stec import config as stec
from plastorch.experiments.stec import stl10 as stec_stl10
from plastorch.experiments.stpn import art as stpn_art
from plastorch.experiments.stpn import familiarity as stpn_familiarity
from plastorch.experiments.stpn import maze as stpn_maze
from plastorch.experiments.stpn import pendulum as stpn_pendulum
from plastorch.experiments.stpn import pong as stpn_pong
from plastorch.experiments.stpn import recurrent as comparison
from plastorch.experiments.ststdp import digits as ststdp_digits


@dataclass(frozen=True)
class Experiment:
    """An experiment as the command line lists and runs it.

    Args:
        name: what the user types.
        paper: authors, year and arXiv number.
        data: name of its data set, or None if it makes its own.
        expected: the figure to expect, in words.
        cost: rough time on two cores, in words.
        config: frozen dataclass of its settings; all have defaults.
        measure: runs it; takes the configuration and a session, returns its result.
    """

    name: str
    paper: str
    data: str | None
    expected: str
    cost: str
    config: type[Any]
    measure: Callable[[Any, Session], dict[str, Any]]


EXPERIMENTS = {
    name: Experiment(name, softhebb.PAPER, data, expected, cost, config, softhebb.measure)
    for name, data, expected, cost, config in (
        (
            "softhebb-mnist",
            "mnist",
            "99.4 % test accuracy",
            "20 min, 12 GB",
            softhebb_config.MnistConfig,
        ),
        (
            "softhebb-cifar10",
            "cifar10",
            "80.3 % test accuracy",
            "8 min",
            softhebb_config.Cifar10Config,
        ),
        (
            "softhebb-cifar100",
            "cifar100",
            "56.0 % test accuracy",
            "9 min",
            softhebb_config.Cifar100Config,
        ),
        (
            "softhebb-stl10",
            "stl10",
            "76.2 % test accuracy",
            "days; a GPU",
            softhebb_config.Stl10Config,
        ),
        (
            "softhebb-imagenet",
            "imagenet",
            "27.3 % test accuracy",
            "weeks; GPUs",
            softhebb_config.ImageNetConfig,
        ),
    )
}
EXPERIMENTS["softhebb-bayes"] = Experiment(
    "softhebb-bayes",
    bayes.PAPER,
    "mnist",
    "every claim of the abstract as a row",
    "25 min",
    bayes.BayesConfig,
    bayes.measure,
)
EXPERIMENTS["stpn-art"] = Experiment(
    "stpn-art",
    comparison.PAPER,
    None,
    "STPN above nine models of its size",
    "2 h",
    stpn_art.ArtConfig,
    stpn_art.measure,
)
EXPERIMENTS["stpn-maze"] = Experiment(
    "stpn-maze",
    comparison.PAPER,
    None,
    "STPN above three models of its size",
    "6 days",
    stpn_maze.MazeConfig,
    stpn_maze.measure,
)
EXPERIMENTS["stpn-pendulum"] = Experiment(
    "stpn-pendulum",
    comparison.PAPER,
    None,
    "STPN balances a pole as LSTM, RNN and MLP do; extra rl",
    "12 min",
    stpn_pendulum.PendulumConfig,
    stpn_pendulum.measure,
)
EXPERIMENTS["stpn-pong"] = Experiment(
    "stpn-pong",
    comparison.PAPER,
    None,
    "STPN's returns rise; all of the training is for a cluster; extra rl",
    "1 h 30 min",
    stpn_pong.PongConfig,
    stpn_pong.measure,
)
EXPERIMENTS["stpn-familiarity"] = Experiment(
    "stpn-familiarity",
    comparison.PAPER,
    None,
    "STPN tells repeats better than an LSTM",
    "20 min",
    stpn_familiarity.FamiliarityConfig,
    stpn_familiarity.measure,
)
EXPERIMENTS["fstdp-synthetic"] = Experiment(
    "fstdp-synthetic",
    fstdp_synthetic.PAPER,
    None,
    "FSTDP finds correlated inputs where STDP follows rates",
    "15 min",
    fstdp_synthetic.FstdpSyntheticConfig,
    fstdp_synthetic.measure,
)
EXPERIMENTS["ststdp-digits"] = Experiment(
    "ststdp-digits",
    ststdp_digits.PAPER,
    "mnist",
    "above networks that see one frame, under occlusion",
    "1 h",
    ststdp_digits.DigitsConfig,
    ststdp_digits.measure,
)
EXPERIMENTS["fstdp-weather"] = Experiment(
    "fstdp-weather",
    fstdp_weather.PAPER,
    "us-precipitation",
    "FSTDP finds stations that share their weather",
    "3 min",
    fstdp_weather.FstdpWeatherConfig,
    fstdp_weather.measure,
)
EXPERIMENTS["files-tables"] = Experiment(
    "files-tables",
    files_tables.PAPER,
    "metadata",
    "spiking network near the best classical learner on most tables",
    "3 h",
    files_tables.FilesTablesConfig,
    files_tables.measure,
)
EXPERIMENTS["files-system"] = Experiment(
    "files-system",
    files_tables.PAPER,
    None,
    "kind and package of this machine's own files, without their extensions",
    "10 min",
    files_system.FilesSystemConfig,
    files_system.measure,
)
EXPERIMENTS["rank-toy"] = Experiment(
    "rank-toy",
    rank_toy.PAPER,
    None,
    "networks learn when to answer, almost as well as can be",
    "20 min",
    rank_toy.RankToyConfig,
    rank_toy.measure,
)
EXPERIMENTS["rank-mnist"] = Experiment(
    "rank-mnist",
    rank_mnist.PAPER,
    "mnist",
    "99 % of answers right after less than 2 of 20 steps",
    "45 min",
    rank_mnist.RankMnistConfig,
    rank_mnist.measure,
)
EXPERIMENTS["rank-speech"] = Experiment(
    "rank-speech",
    rank_speech.PAPER,
    "speech-commands",
    "words known earlier than by networks that are not rank-coded",
    "20 min",
    rank_speech_networks.RankSpeechConfig,
    rank_speech.measure,
)
EXPERIMENTS["stec-cifar10"] = Experiment(
    "stec-cifar10",
    stec.PAPER,
    "cifar10",
    "SimCLR, BYOL and ReLIC gain by efference copies",
    "6 h",
    stec_cifar10.StecCifar10Config,
    stec_cifar10.measure,
)
EXPERIMENTS["stec-audio"] = Experiment(
    "stec-audio",
    stec.PAPER,
    "speech-commands",
    "spoken words: SimCLR, BYOL and ReLIC gain by efference copies",
    "2 h 30 min",
    stec_audio.StecAudioConfig,
    stec_audio.measure,
)
EXPERIMENTS["stec-stl10"] = Experiment(
    "stec-stl10",
    stec.PAPER,
    "stl10",
    "SimCLR, BYOL and ReLIC gain by efference copies",
    "weeks; a GPU",
    stec_stl10.StecStl10Config,
    stec_stl10.measure,
)


def find(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        InputError: if there is none; the message suggests the nearest name.

    Example:
        >>> find("softhebb-mnist").data
        'mnist'
    """
    if name in EXPERIMENTS:
        return EXPERIMENTS[name]
    hint = meant(name, EXPERIMENTS) or "; plastorch list shows all"
    raise InputError(f"EXPERIMENT is {name!r}; expected the name of an experiment{hint}")

"""Rank coding: recurrent networks that learn when to answer."""

from plastorch.experiments.registry import Experiment

PAPER = "Jeffares et al. 2022, Spike-inspired Rank Coding, arXiv 2110.02865"

TOY = Experiment(
    "rank-toy",
    paper=PAPER,
    data=None,
    expected="networks learn when to answer, almost as well as can be",
    cost="35 min",
    config="plastorch.experiments.rank.toy:RankToyConfig",
    measure="plastorch.experiments.rank.toy:measure",
    panels="plastorch.experiments.rank.toy_panels:panels",
)
MNIST = Experiment(
    "rank-mnist",
    paper=PAPER,
    data="mnist",
    expected="99 % of answers right after less than 2 of 20 steps",
    cost="1 h 20 min",
    config="plastorch.experiments.rank.mnist:RankMnistConfig",
    measure="plastorch.experiments.rank.mnist:measure",
    panels="plastorch.experiments.rank.timing_panels:panels",
)
SPEECH = Experiment(
    "rank-speech",
    paper=PAPER,
    data="speech-commands",
    expected="words known earlier than by an LSTM trained at the last step, on two seeds of three",
    cost="20 min",
    config="plastorch.experiments.rank.speech_networks:RankSpeechConfig",
    measure="plastorch.experiments.rank.speech:measure",
    panels="plastorch.experiments.rank.timing_panels:panels",
)
SERIES = Experiment(
    "rank-series",
    paper=PAPER,
    data="UCR sets, in the package aeon",
    expected="early answers as cheap as those of MiniRocket with tuned triggers",
    cost="1 h 30 min",
    config="plastorch.experiments.rank.series:RankSeriesConfig",
    measure="plastorch.experiments.rank.series:measure",
    panels="plastorch.experiments.rank.series_panels:panels",
)

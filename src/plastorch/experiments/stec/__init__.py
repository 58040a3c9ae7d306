"""Efference copies (S-TEC): self-supervision by a network that knows how its input was changed."""

from plastorch.experiments.registry import Experiment

PAPER = "Scherr et al. 2022, Self-Supervised Learning Through Efference Copies, arXiv 2210.09224"

CIFAR10 = Experiment(
    "stec-cifar10",
    paper=PAPER,
    data="cifar10",
    expected="SimCLR, BYOL and ReLIC gain by efference copies",
    cost="6 h",
    config="plastorch.experiments.stec.cifar10:StecCifar10Config",
    measure="plastorch.experiments.stec.cifar10:measure",
    panels="plastorch.experiments.stec.panels:panels",
)
AUDIO = Experiment(
    "stec-audio",
    paper=PAPER,
    data="speech-commands",
    expected="spoken words; the paper: all methods gain by efference copies; here SimCLR doesn't",
    cost="2 h 30 min",
    config="plastorch.experiments.stec.audio:StecAudioConfig",
    measure="plastorch.experiments.stec.audio:measure",
    panels="plastorch.experiments.stec.panels:panels",
)
STL10 = Experiment(
    "stec-stl10",
    paper=PAPER,
    data="stl10",
    expected="SimCLR, BYOL and ReLIC gain by efference copies",
    cost="weeks; a GPU",
    config="plastorch.experiments.stec.stl10:StecStl10Config",
    measure="plastorch.experiments.stec.stl10:measure",
    panels="plastorch.experiments.stec.panels:panels",
)

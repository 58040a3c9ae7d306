"""STDP: digits learned without labels, from spike to spike."""

from plastorch.experiments.registry import Experiment

MNIST = Experiment(
    "stdp-mnist",
    paper="Diehl, Cook 2015, Unsupervised learning of digit recognition using STDP, "
    "Front. Comput. Neurosci. 9:99",
    data="mnist",
    expected="at least 86 % with 400 neurons, 94 % with 6,400",
    cost="2 min",
    config="plastorch.experiments.stdp.mnist:StdpMnistConfig",
    measure="plastorch.experiments.stdp.mnist:measure",
    panels="plastorch.experiments.stdp.panels:panels",
)

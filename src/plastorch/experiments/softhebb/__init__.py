"""SoftHebb: blocks that learn without labels, and shallow networks that infer by Bayes' rule."""

from plastorch.experiments.registry import Experiment

DEEP_PAPER = "Journé et al. 2023, Hebbian Deep Learning Without Feedback, arXiv 2209.11883"
SHALLOW_PAPER = (
    "Moraitis et al. 2022, SoftHebb, Neuromorph. Comput. Eng. 2 044017, arXiv 2107.05747"
)

MNIST = Experiment(
    "softhebb-mnist",
    paper=DEEP_PAPER,
    data="mnist",
    expected="99.4 % test accuracy",
    cost="20 min, 12 GB",
    config="plastorch.experiments.softhebb.config:MnistConfig",
    measure="plastorch.experiments.softhebb.deep:measure",
    panels="plastorch.experiments.softhebb.panels:panels",
)
CIFAR10 = Experiment(
    "softhebb-cifar10",
    paper=DEEP_PAPER,
    data="cifar10",
    expected="80.3 % test accuracy",
    cost="8 min",
    config="plastorch.experiments.softhebb.config:Cifar10Config",
    measure="plastorch.experiments.softhebb.deep:measure",
    panels="plastorch.experiments.softhebb.panels:panels",
)
CIFAR100 = Experiment(
    "softhebb-cifar100",
    paper=DEEP_PAPER,
    data="cifar100",
    expected="56.0 % test accuracy",
    cost="9 min",
    config="plastorch.experiments.softhebb.config:Cifar100Config",
    measure="plastorch.experiments.softhebb.deep:measure",
    panels="plastorch.experiments.softhebb.panels:panels",
)
STL10 = Experiment(
    "softhebb-stl10",
    paper=DEEP_PAPER,
    data="stl10",
    expected="76.2 % test accuracy",
    cost="days; a GPU",
    config="plastorch.experiments.softhebb.config:Stl10Config",
    measure="plastorch.experiments.softhebb.deep:measure",
    panels="plastorch.experiments.softhebb.panels:panels",
)
IMAGENET = Experiment(
    "softhebb-imagenet",
    paper=DEEP_PAPER,
    data="imagenet",
    expected="27.3 % test accuracy",
    cost="weeks; GPUs",
    config="plastorch.experiments.softhebb.config:ImageNetConfig",
    measure="plastorch.experiments.softhebb.deep:measure",
    panels="plastorch.experiments.softhebb.panels:panels",
)
BAYES = Experiment(
    "softhebb-bayes",
    paper=SHALLOW_PAPER,
    data="mnist",
    expected="every claim of the abstract as a row",
    cost="25 min",
    config="plastorch.experiments.softhebb.bayes_networks:BayesConfig",
    measure="plastorch.experiments.softhebb.bayes:measure",
    panels="plastorch.experiments.softhebb.bayes_panels:panels",
)

"""SoftHebb: blocks that learn without labels, and shallow networks that infer by Bayes' rule."""

from plastorch.experiments.registry import Experiment

DEEP_PAPER = "Journé et al. 2023, Hebbian Deep Learning Without Feedback, arXiv 2209.11883"
SHALLOW_PAPER = (
    "Moraitis et al. 2022, SoftHebb, Neuromorph. Comput. Eng. 2 044017, arXiv 2107.05747"
)


def _deep(name: str, *, accuracy: float, cost: str, config: str) -> Experiment:
    """Returns an experiment of the deep paper, named after its data set."""
    return Experiment(
        f"softhebb-{name}",
        paper=DEEP_PAPER,
        data=name,
        expected=f"layers that learn without labels: {accuracy} % test accuracy",
        cost=cost,
        config=f"plastorch.experiments.softhebb.config:{config}",
        measure="plastorch.experiments.softhebb.deep:measure",
        panels="plastorch.experiments.softhebb.panels:panels",
    )


MNIST = _deep("mnist", accuracy=99.4, cost="20 min, 12 GB", config="MnistConfig")
CIFAR10 = _deep("cifar10", accuracy=80.3, cost="8 min", config="Cifar10Config")
CIFAR100 = _deep("cifar100", accuracy=56.0, cost="9 min", config="Cifar100Config")
STL10 = _deep("stl10", accuracy=76.2, cost="days; a GPU", config="Stl10Config")
IMAGENET = _deep("imagenet", accuracy=27.3, cost="weeks; GPUs", config="ImageNetConfig")
FEW_LABELS = Experiment(
    "softhebb-few-labels",
    paper=DEEP_PAPER,
    data="cifar10",
    expected="above a supervised network of equal cost by 10 points at 25 labels per class",
    cost="1 h",
    config="plastorch.experiments.softhebb.few_labels:FewLabelsConfig",
    measure="plastorch.experiments.softhebb.few_labels:measure",
    panels="plastorch.experiments.softhebb.few_labels_panels:panels",
)
BAYES = Experiment(
    "softhebb-bayes",
    paper=SHALLOW_PAPER,
    data="mnist",
    expected="Bayesian inference by SoftHebb: the abstract's claims",
    cost="35 min",
    config="plastorch.experiments.softhebb.bayes_networks:BayesConfig",
    measure="plastorch.experiments.softhebb.bayes:measure",
    panels="plastorch.experiments.softhebb.bayes_panels:panels",
)
DIGITS = Experiment(
    "softhebb-digits",
    paper=SHALLOW_PAPER,
    data="mnist",
    expected="one layer learns digits without labels, and leads single digits as weights",
    cost="1 min",
    config="plastorch.experiments.softhebb.digits:DigitsConfig",
    measure="plastorch.experiments.softhebb.digits:measure",
    panels="plastorch.experiments.softhebb.digits_panels:panels",
)

"""Short-term STDP: a spiking circuit that infers what it sees in changing scenes."""

from plastorch.experiments.registry import Experiment

PAPER = "Moraitis et al. 2020, Optimality of short-term synaptic plasticity, arXiv 2009.06808"

DIGITS = Experiment(
    "ststdp-digits",
    paper=PAPER,
    data="mnist",
    expected="digits behind a moving bar, above what sees one frame",
    cost="1 h 20 min",
    config="plastorch.experiments.ststdp.digits:DigitsConfig",
    measure="plastorch.experiments.ststdp.digits:measure",
    panels="plastorch.experiments.ststdp.panels:panels",
)
FEATURES = Experiment(
    "ststdp-features",
    paper=PAPER,
    data="mnist",
    expected="digits in motion, on features learned without labels: 15 points above pixels",
    cost="5 h",
    config="plastorch.experiments.ststdp.features:FeaturesConfig",
    measure="plastorch.experiments.ststdp.features:measure",
    panels="plastorch.experiments.ststdp.features_panels:panels",
)
PHOTOS = Experiment(
    "ststdp-photos",
    paper=PAPER,
    data="cifar10",
    expected="photos behind a moving bar: above the readout of the same network",
    cost="10 min",
    config="plastorch.experiments.ststdp.photos:PhotosConfig",
    measure="plastorch.experiments.ststdp.photos:measure",
    panels="plastorch.experiments.ststdp.photos_panels:panels",
)

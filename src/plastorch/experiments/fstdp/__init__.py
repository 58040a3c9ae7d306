"""Fatiguing STDP: learning which inputs spike together, whatever their rates."""

from plastorch.experiments.registry import Experiment

PAPER = "Moraitis et al. 2017, Fatiguing STDP, IJCNN, arXiv 1706.05563"

SYNTHETIC = Experiment(
    "fstdp-synthetic",
    paper=PAPER,
    data=None,
    expected="FSTDP finds correlated inputs where STDP follows rates",
    cost="15 min",
    config="plastorch.experiments.fstdp.synthetic:FstdpSyntheticConfig",
    measure="plastorch.experiments.fstdp.synthetic:measure",
    panels="plastorch.experiments.fstdp.panels:panels",
)
WEATHER = Experiment(
    "fstdp-weather",
    paper=PAPER,
    data="us-precipitation",
    expected="FSTDP finds stations that share their weather",
    cost="3 min",
    config="plastorch.experiments.fstdp.weather:FstdpWeatherConfig",
    measure="plastorch.experiments.fstdp.weather:measure",
    panels="plastorch.experiments.fstdp.panels:panels",
)

"""Fatiguing STDP: learning which inputs spike together, whatever their rates."""

from plastorch.experiments.registry import Experiment

PAPER = "Moraitis et al. 2017, Fatiguing STDP, IJCNN, arXiv 1706.05563"

SYNTHETIC = Experiment(
    "fstdp-synthetic",
    paper=PAPER,
    data=None,
    expected="FSTDP finds correlated inputs where STDP follows rates",
    headline=("slow_0.05_fstdp_auc", "AUC of correlated inputs by FSTDP"),
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
    headline=("hours_fstdp_cluster", "clustering of FSTDP's stations"),
    cost="3 min",
    config="plastorch.experiments.fstdp.weather:FstdpWeatherConfig",
    measure="plastorch.experiments.fstdp.weather:measure",
    panels="plastorch.experiments.fstdp.panels:panels",
)

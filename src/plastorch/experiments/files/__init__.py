"""Classification of files by their metadata with spiking networks."""

from plastorch.experiments.registry import Experiment

PAPER = "Stanojevic et al. 2020, File Classification, ISCAS, arXiv 2004.03953"

TABLES = Experiment(
    "files-tables",
    paper=PAPER,
    data="metadata",
    expected="spiking network near the best classical learner on most tables",
    cost="3 h",
    config="plastorch.experiments.files.config:FilesTablesConfig",
    measure="plastorch.experiments.files.tables:measure",
    panels="plastorch.experiments.files.panels:panels",
)
SYSTEM = Experiment(
    "files-system",
    paper=PAPER,
    data="this machine's files, at hand",
    expected="kind and package of this machine's own files, without their extensions",
    cost="2 min",
    config="plastorch.experiments.files.config:FilesSystemConfig",
    measure="plastorch.experiments.files.system:measure",
    panels="plastorch.experiments.files.panels:panels",
)

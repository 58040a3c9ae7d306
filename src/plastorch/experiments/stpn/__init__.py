"""Short-term plasticity neurons: recurrent networks whose synapses remember for a while."""

from plastorch.experiments.registry import Experiment

PAPER = "Garcia Rodriguez et al. 2022, Short-Term Plasticity Neurons, arXiv 2206.14048"

ART = Experiment(
    "stpn-art",
    paper=PAPER,
    data=None,
    expected="STPN and its simpler forms above six other models of its size",
    cost="2 h",
    config="plastorch.experiments.stpn.art:ArtConfig",
    measure="plastorch.experiments.stpn.art:measure",
    panels="plastorch.experiments.stpn.panels:panels",
)
MAZE = Experiment(
    "stpn-maze",
    paper=PAPER,
    data=None,
    expected="the paper: STPN above three models of its size; not in shorter runs here",
    cost="6 days",
    config="plastorch.experiments.stpn.maze:MazeConfig",
    measure="plastorch.experiments.stpn.maze:measure",
    panels="plastorch.experiments.stpn.panels:panels",
)
PENDULUM = Experiment(
    "stpn-pendulum",
    paper=PAPER,
    data=None,
    expected="STPN balances a pole as LSTM, RNN and MLP do; extra rl",
    cost="12 min",
    config="plastorch.experiments.stpn.pendulum:PendulumConfig",
    measure="plastorch.experiments.stpn.pendulum:measure",
    panels="plastorch.experiments.stpn.panels:panels",
)
PONG = Experiment(
    "stpn-pong",
    paper=PAPER,
    data=None,
    expected="STPN's returns rise; all of the training is for a cluster; extra rl",
    cost="1 h 30 min",
    config="plastorch.experiments.stpn.pong:PongConfig",
    measure="plastorch.experiments.stpn.pong:measure",
    panels="plastorch.experiments.stpn.panels:panels",
)
FAMILIARITY = Experiment(
    "stpn-familiarity",
    paper=PAPER,
    data=None,
    expected="STPN tells repeats better than an LSTM",
    cost="20 min",
    config="plastorch.experiments.stpn.familiarity:FamiliarityConfig",
    measure="plastorch.experiments.stpn.familiarity:measure",
    panels="plastorch.experiments.stpn.panels:panels",
)
MQAR = Experiment(
    "stpn-mqar",
    paper=PAPER,
    data=None,
    expected="STPN recalls more pairs than LSTM and linear attention of its state",
    cost="2 h",
    config="plastorch.experiments.stpn.mqar:MqarConfig",
    measure="plastorch.experiments.stpn.mqar:measure",
    panels="plastorch.experiments.stpn.panels:panels",
)
POPGYM = Experiment(
    "stpn-popgym",
    paper=PAPER,
    data=None,
    expected="STPN learns sooner than an LSTM of its size where one card is recalled",
    cost="5 min",
    config="plastorch.experiments.stpn.popgym:PopgymConfig",
    measure="plastorch.experiments.stpn.popgym:measure",
    panels="plastorch.experiments.stpn.panels:panels",
)
CHARACTERS = Experiment(
    "stpn-characters",
    paper=PAPER,
    data=None,
    expected="GRU and LSTM need fewer bits per character than STPN",
    cost="1 h 40 min",
    config="plastorch.experiments.stpn.characters:CharactersConfig",
    measure="plastorch.experiments.stpn.characters:measure",
    panels="plastorch.experiments.stpn.panels:panels",
    headline=("stpn_bits", "bits per character of unseen files: STPN"),
)

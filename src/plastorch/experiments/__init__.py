"""What the papers claim, measured: one file per system, one entry here per experiment."""

from plastorch.experiments.registry import EXPERIMENTS, Experiment, find

__all__ = ["EXPERIMENTS", "Experiment", "find"]

"""Reinforcement learning with recurrent networks: tasks, actor-critic, agents for RLlib."""

from plastorch.rl.a2c import ActorCritic, ActorCriticTraining, Environment, a2c_loss, play
from plastorch.rl.agent import Agent, FrameEncoder
from plastorch.rl.cards import Autoencode, CountRecall, RepeatFirst, RepeatPrevious
from plastorch.rl.cart_pole import PositionOnlyCartPole
from plastorch.rl.maze import Maze, MazeState

__all__ = [
    "ActorCritic",
    "ActorCriticTraining",
    "Agent",
    "Autoencode",
    "CountRecall",
    "Environment",
    "FrameEncoder",
    "Maze",
    "MazeState",
    "PositionOnlyCartPole",
    "RepeatFirst",
    "RepeatPrevious",
    "a2c_loss",
    "play",
]

"""Reinforcement learning with recurrent networks: a maze, actor-critic, and agents for RLlib."""

from plastorch.rl.a2c import ActorCritic, ActorCriticTraining, a2c_loss, play
from plastorch.rl.agent import Agent, FrameEncoder
from plastorch.rl.maze import Maze, MazeState

__all__ = [
    "ActorCritic",
    "ActorCriticTraining",
    "Agent",
    "FrameEncoder",
    "Maze",
    "MazeState",
    "a2c_loss",
    "play",
]

"""Reinforcement learning: a maze and advantage actor-critic, for any recurrent network."""

from plastorch.rl.a2c import ActorCritic, ActorCriticTraining, a2c_loss, play
from plastorch.rl.maze import Maze, MazeState

__all__ = ["ActorCritic", "ActorCriticTraining", "Maze", "MazeState", "a2c_loss", "play"]

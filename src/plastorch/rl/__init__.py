"""Reinforcement learning: a maze and advantage actor-critic, for any recurrent network."""

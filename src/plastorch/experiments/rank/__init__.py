"""Rank coding, measured."""

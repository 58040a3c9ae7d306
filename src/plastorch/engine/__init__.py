"""Machinery shared by all experiments: devices, workers, runs, checkpoints, files, errors."""

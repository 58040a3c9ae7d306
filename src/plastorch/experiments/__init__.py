"""What the papers claim, measured: one folder per system, found through entry points."""

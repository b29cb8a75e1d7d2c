"""Measurements against a peer or a physical floor in the same run, printed as ratios: `make bench`."""

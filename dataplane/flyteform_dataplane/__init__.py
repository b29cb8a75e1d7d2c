"""The data plane: the pure engine and the drivers that run its commands."""

"""What the programs of all clouds have in common."""

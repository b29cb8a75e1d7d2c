"""What the platform keeps in a cluster: checked, applied until the cluster has it, and reported; never removed."""

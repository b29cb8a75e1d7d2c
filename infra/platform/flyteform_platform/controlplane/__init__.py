"""The control plane on a cluster: its release, its processes, who reaches them, and who watches them."""

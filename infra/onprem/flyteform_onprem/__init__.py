"""Platforms on Kubernetes clusters that are there already."""

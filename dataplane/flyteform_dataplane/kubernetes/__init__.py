"""Pods as attempts: what a task's pod looks like in a cluster, and what its status means."""

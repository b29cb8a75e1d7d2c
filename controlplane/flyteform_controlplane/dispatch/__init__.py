"""Hands executions to data planes: the queue, the leases and the link that data planes open."""

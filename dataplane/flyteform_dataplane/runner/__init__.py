"""Runs executions: keeps their log, carries the engine's commands to the ports and observations back."""

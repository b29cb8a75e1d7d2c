"""Inputs as files before a command runs, and outputs from files after it: for containers that know nothing of Flyte."""

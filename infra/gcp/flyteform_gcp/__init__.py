"""Platforms on Google Cloud."""

"""Platforms on AWS."""

"""Platforms on Azure."""

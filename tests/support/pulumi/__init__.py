"""Pulumi's protocol for tests: a small engine, the program's host, and stand-ins for other providers."""

"""The Pulumi provider over a do-nothing provider, by the tests' own engine on Pulumi's protocol."""

from benchmarks.pulumi.stacks import main

__all__ = ["main"]

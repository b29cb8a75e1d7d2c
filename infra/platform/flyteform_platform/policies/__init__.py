"""Rules over every resource that a stack registers, whichever program declares it."""

from flyteform_platform.policies.rule import RULES, Resource, Rule

__all__ = ["RULES", "Resource", "Rule"]

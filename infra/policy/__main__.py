"""The policy pack's process; its rules are in a package of their own, as this one serves until it is killed."""

from pulumi_policy import PolicyPack

from flyteform_platform.policies.pack import policies

PolicyPack("flyteform", policies())

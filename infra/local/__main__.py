"""A platform on this machine, and the example project on it."""

from flyteform_local.program import deploy

deploy()

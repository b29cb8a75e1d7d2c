"""A platform on a Kubernetes cluster that is there already."""

from flyteform_onprem.program import deploy

deploy()

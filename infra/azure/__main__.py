"""What `pulumi up` runs: everything is in the package beside it."""

from flyteform_azure.program import deploy

deploy()

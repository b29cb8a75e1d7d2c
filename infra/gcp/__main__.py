"""What `pulumi up` runs: everything is in the package beside it."""

from flyteform_gcp.program import deploy

deploy()

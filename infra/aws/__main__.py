"""What `pulumi up` runs: everything is in the package beside it."""

from flyteform_aws.program import deploy

deploy()

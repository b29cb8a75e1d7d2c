#!/bin/sh
# Stands up the stack `dev` in your own AWS account, runs a workflow on it, and takes everything down again.
#
# Costs, while it is up, estimated from public list prices: about 0.40 USD an hour (EKS 0.10, two nodes 0.16, NAT 0.05, two db.t4g.micro 0.04, balancer 0.03).
# It takes about 40 minutes; one run costs less than 2 USD. What goes on if `destroy` fails, and how to look for it:
#   aws resourcegroupstaggingapi get-resources --tag-filters Key=platform,Values=flyteform-dev
# Before: edit stacks/aws/Pulumi.dev.yaml (every value that names an account, an address or a person), and push
# images of the control plane and the data plane to where the stack says (`make images`).
# Use: PULUMI_CONFIG_PASSPHRASE=... infra/aws/smoke.sh
# shellcheck source=infra/smoke/smoke.sh
. "$(dirname "$0")/../smoke/smoke.sh"
need make pulumi kubectl aws
smoke aws dev

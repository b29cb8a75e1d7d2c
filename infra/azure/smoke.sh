#!/bin/sh
# Stands up the stack `dev` in your own Azure account, runs a workflow on it, and takes everything down again.
#
# Costs, while it is up, estimated from public list prices: about 0.45 USD an hour (nodes 0.25, two B1ms servers 0.05, NAT and balancer 0.07, logs by volume).
# It takes about 40 minutes; one run costs less than 2 USD. What goes on if `destroy` fails, and how to look for it:
#   az group show --name flyteform-dev (and flyteform-dev-nodes)
# Azure keeps a deleted vault, and its name, for 90 days: choose another `suffix` for a second run.
# Before: edit stacks/azure/Pulumi.dev.yaml (every value that names an account, an address or a person), and push
# images of the control plane and the data plane to where the stack says (`make images`).
# Use: PULUMI_CONFIG_PASSPHRASE=... infra/azure/smoke.sh
# shellcheck source=infra/smoke/smoke.sh
. "$(dirname "$0")/../smoke/smoke.sh"
need make pulumi kubectl az kubelogin
smoke azure dev

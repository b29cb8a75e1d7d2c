#!/bin/sh
# Stands up the stack `dev` in your own Google Cloud account, runs a workflow on it, and takes everything down again.
#
# Costs, while it is up, estimated from public list prices: about 0.45 USD an hour (GKE 0.10, nodes 0.20, two db-f1-micro 0.03, NAT and balancer 0.07).
# It takes about 40 minutes; one run costs less than 2 USD. What goes on if `destroy` fails, and how to look for it:
#   gcloud asset search-all-resources --query labels.platform=flyteform-dev
# Google keeps names of keys for ever, and of databases for a week: choose another `name` for a second run.
# Before: edit stacks/gcp/Pulumi.dev.yaml (every value that names an account, an address or a person), and push
# images of the control plane and the data plane to where the stack says (`make images`).
# Use: PULUMI_CONFIG_PASSPHRASE=... infra/gcp/smoke.sh
# shellcheck source=infra/smoke/smoke.sh
. "$(dirname "$0")/../smoke/smoke.sh"
need make pulumi kubectl gcloud gke-gcloud-auth-plugin
smoke gcp dev

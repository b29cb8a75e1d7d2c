#!/bin/sh
# A platform in a cloud account, from nothing and back: preview, up, a second up that is empty, a workflow, destroy.
# Sourced by infra/<cloud>/smoke.sh, which say what it costs. Needs the Pulumi CLI, the cloud's CLI with a login, kubectl
# and Python. State is kept in ./smoke-state, encrypted with PULUMI_CONFIG_PASSPHRASE; keep both until `destroy` has passed.
set -eu

say() { printf '\n== %s\n' "$*"; }

need() {
  for tool in "$@"; do
    command -v "$tool" >/dev/null || { echo "Error: $tool is not on PATH" >&2; exit 1; }
  done
}

smoke() {
  cloud=$1 stack=${2:-dev}
  root=$(cd "$(dirname "$0")/../.." && pwd)
  : "${PULUMI_CONFIG_PASSPHRASE:?set PULUMI_CONFIG_PASSPHRASE to a passphrase of your own, and keep it}"
  export PULUMI_BACKEND_URL="file://$root/smoke-state"
  mkdir -p "$root/smoke-state"
  make -C "$root" setup
  PATH="$root/.venv/bin:$PATH"
  cd "$root/infra/$cloud"
  pulumi stack select --create "$stack"

  say "Preview: nothing is made, and a wrong value fails with its field's path"
  pulumi preview
  printf '\nMake all of this, and pay for it? Type the cloud (%s): ' "$cloud"
  read -r answer
  [ "$answer" = "$cloud" ] || { echo "Nothing was made."; exit 1; }

  # From here on everything that was made goes again, whatever happens.
  trap 'teardown "$cloud" "$stack"' EXIT
  say "Up"
  pulumi up --yes
  say "A second up has nothing to do"
  pulumi up --yes --expect-no-changes

  say "A workflow runs in two pods"
  config=$(mktemp -d)
  export FLYTECTL_CONFIG="$config/config.yaml"
  pulumi stack output --show-secrets foundationSecrets | python -c \
    'import json, sys; print(json.load(sys.stdin)["cluster"]["kubeconfig"])' >"$config/kubeconfig"
  kubectl --kubeconfig "$config/kubeconfig" --namespace flyteform get secret flyteform-login \
    --output 'jsonpath={.data.flyteform\.secret}' | base64 -d >"$config/secret"
  cat >"$FLYTECTL_CONFIG" <<EOF
admin:
  endpoint: dns:///$(pulumi stack output url | sed 's#^https://##')
  authType: ClientSecret
  clientId: flyteform
  clientSecretLocation: $config/secret
EOF
  flyteform get clusters
  flyteform run --remote --project flytesnacks --domain development "$root/infra/smoke/hello.py" hello
  rm -r "$config"
}

teardown() {
  code=$?
  say "Destroy: what is protected in production is not in this stack"
  cd "$root/infra/$1"
  if pulumi destroy --yes; then
    pulumi stack rm --yes "$2"
    echo "Everything is gone. Look at the bill tomorrow all the same."
  else
    echo "Error: something is left; run this again: cd infra/$1 && pulumi destroy" >&2
    code=1
  fi
  exit "$code"
}

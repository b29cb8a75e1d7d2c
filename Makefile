# Every target does first what it depends on; all that is needed beforehand is Python 3.11 to 3.13.
.DEFAULT_GOAL := help
SHELL := /bin/sh

BIN := .venv/bin
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/flyteform
FLYTEKIT := $(CACHE)/flytekit-1.16.31
MOTO := $(CACHE)/moto-5.2.5
CHECKOV := $(CACHE)/checkov-3.3.30
AZURITE := $(CACHE)/azurite-3.35.0
PACKAGES := sdk controlplane dataplane infra

.PHONY: help
help: ## show the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

.PHONY: setup
setup: .venv/ready ## make .venv with all that development needs

.venv/ready: uv.lock pyproject.toml
	tools/uv sync --frozen --all-extras
	@# Compiled once here: start-up stays fast where Python may not write beside its sources.
	$(BIN)/python -m compileall -q $(PACKAGES)
	@touch $@

$(FLYTEKIT)/ready: tests/compat/flytekit/uv.lock
	UV_PROJECT_ENVIRONMENT=$(FLYTEKIT) tools/uv sync --frozen --compile-bytecode --project tests/compat/flytekit
	@touch $@

.PHONY: compat
compat: $(FLYTEKIT)/ready ## make the environment of the stock flytekit client

# `ready` is a copy of the lock file that was installed: another clone of the same one installs nothing again.
# The certificates are those that this machine trusts (proxies of companies have their own).
$(AZURITE)/ready: tests/contract/state/azurite/package-lock.json | .venv/ready
	@mkdir -p $(@D)
	@cp $(<D)/package.json $(<D)/package-lock.json $(<D)/.npmrc $(@D)
	cmp -s $< $@ || (cd $(@D) && NODE_USE_SYSTEM_CA=1 PATH="$(CURDIR)/$(BIN):$$PATH" npm ci)
	@cp $< $@

$(MOTO)/ready: tests/infra/aws/moto/uv.lock
	UV_PROJECT_ENVIRONMENT=$(MOTO) tools/uv sync --frozen --project tests/infra/aws/moto
	@touch $@

$(CHECKOV)/ready: tests/infra/checkov/uv.lock
	UV_PROJECT_ENVIRONMENT=$(CHECKOV) tools/uv sync --frozen --project tests/infra/checkov
	@touch $@

.PHONY: rules
rules: $(MOTO)/ready $(CHECKOV)/ready ## make the environments that judge policies of AWS and manifests

.PHONY: azurite
azurite: $(AZURITE)/ready ## get the Azure storage server that tests start

.PHONY: demo
demo: setup ## run the main job: platform, plan, apply, execute, see
	$(BIN)/flyteform demo $(ARGS)

.PHONY: test
test: setup compat azurite rules ## pass the tests
	FLYTEFORM_FLYTEKIT=$(FLYTEKIT) FLYTEFORM_AZURITE=$(AZURITE) FLYTEFORM_MOTO=$(MOTO) FLYTEFORM_CHECKOV=$(CHECKOV) \
	  $(BIN)/pytest -n 2 $(ARGS)

.PHONY: check
check: setup ## hold the code against its rules: lint, format, types, imports, generated code
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/ty check --error-on-warning infra/platform infra/aws infra/gcp infra/azure infra/onprem infra/local
	$(BIN)/lint-imports --verbose
	$(BIN)/python tools/generate_proto.py --check

.PHONY: cluster
cluster: setup ## a real Kubernetes cluster on this machine: ARGS=up, status, down
	@$(BIN)/python -m tools.kubernetes $(ARGS)

# The tests run inside the cluster's network, which nothing outside can reach and which reaches nothing outside.
# Those that share it run one after the other, those that simulate clusters of their own beside them. All programs are
# built before: in that network nothing can be fetched. The cluster ends with the recipe, even if that is killed.
IN_CLUSTER := $(BIN)/python -m tools.kubernetes --run .cluster/test
IMAGES := --python localhost/python:test --task localhost/task:test --example localhost/example:test \
  --operator localhost/operator:test --stock localhost/flytekit:test
.PHONY: test-cluster
test-cluster: setup compat ## pass the tests that need a real Kubernetes with real pods
	@if ! $(IN_CLUSTER) possible; then test -z "$$CI" && echo "SKIPPED: the tests of a real cluster"; exit; fi; \
	  $(IN_CLUSTER) build && $(IN_CLUSTER) down && trap '$(IN_CLUSTER) down' EXIT && trap 'exit 130' INT TERM && \
	  export FLYTEFORM_FLYTEKIT=$(FLYTEKIT) FLYTEFORM_TEST_CLUSTER=1 && $(IN_CLUSTER) up $(IMAGES) && \
	  (setsid $(IN_CLUSTER) down --after $$$$ < /dev/null > /dev/null 2>&1 &) && \
	  $(IN_CLUSTER) exec $(BIN)/pytest -n 3 --dist loadscope tests/cluster $(ARGS)

N ?= 10000
SEED ?= 0
.PHONY: soak
soak: setup ## simulate N executions from SEED on in a world of faults, and judge them
	PYTHONPATH=tests $(BIN)/python -m support.soak $(N) $(SEED)

.PHONY: bench
bench: setup compat ## measure against peers and floors, printing ratios
	FLYTEFORM_FLYTEKIT=$(FLYTEKIT) $(BIN)/python -m benchmarks $(ARGS)

.PHONY: proto
proto: setup ## generate the code of flyteform.v1
	$(BIN)/python tools/generate_proto.py

.PHONY: images
images: setup ## build the container images with podman, buildah or docker: ARGS="--registry R --tag T"
	$(BIN)/python tools/build_images.py $(ARGS)

.PHONY: format
format: setup ## mend what lint and format can mend by themselves
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: clean
clean: ## remove what the targets made in the tree
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Every target does first what it depends on; `make demo` and `make test` need nothing but Python 3.11 to 3.13.
.DEFAULT_GOAL := help
UV := $(shell command -v uv 2>/dev/null || echo .venv/bin/uv)

.PHONY: help
help: ## show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

.PHONY: proto
proto: setup ## generate the code of flyteform.v1
	.venv/bin/python tools/generate_proto.py

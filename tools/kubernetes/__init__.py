"""A real Kubernetes cluster for tests: built from pinned Go modules, started as plain processes, no registry needed."""

"""FlyteWorkflow, the custom resource of an execution: what people see of it, and where its engine's log lies."""

"""The data plane of one cluster: its operator, what it may do, and the namespaces that it runs tasks in."""

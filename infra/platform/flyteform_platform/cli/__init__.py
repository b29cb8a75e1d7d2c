"""Commands around stacks."""

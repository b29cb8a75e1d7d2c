"""The provider's process: Pulumi's engine starts it, reads its port from the first line, and calls it until the end."""

"""Task types: from a task template to an attempt that an executor can start."""

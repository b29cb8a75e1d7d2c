"""The embedded executor: one operating-system process per attempt, forked from a warm template."""

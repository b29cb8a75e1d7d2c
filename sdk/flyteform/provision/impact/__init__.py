"""What a plan means for those who are not in it: callers, caches, schedules, executions in flight."""

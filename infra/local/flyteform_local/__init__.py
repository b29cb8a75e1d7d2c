"""The embedded platform: both planes in one process tree on this machine."""

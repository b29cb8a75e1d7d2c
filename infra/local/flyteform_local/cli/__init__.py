"""The commands that the embedded platform adds to the CLI."""

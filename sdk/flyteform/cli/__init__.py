"""The command line: `flyteform <command>`, each command loaded only when it is called."""

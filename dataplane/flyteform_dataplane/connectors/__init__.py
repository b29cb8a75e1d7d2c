"""Tasks that run elsewhere: Flyte's connectors (once: agents) create, watch and delete their jobs."""

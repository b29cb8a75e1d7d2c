"""The pure engine: (graph, state, observations) in, (changes, commands, events) out. No clock, no chance, no I/O."""

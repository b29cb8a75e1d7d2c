"""The control plane's rules: what is valid, what follows from it, in which order. No I/O."""

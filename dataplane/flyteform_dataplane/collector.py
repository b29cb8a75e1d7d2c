"""Python's collector of cycles, set for a process that holds many objects which live long."""

from __future__ import annotations

import gc

# The default, 700, walks over all that lives every few milliseconds of the engine's work: up to half of its time.
_YOUNG, _MIDDLE, _OLD = 100_000, 50, 100


def calm() -> None:
    """Look for cycles more rarely, and never among what is there already: modules and definitions."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)

"""The simulation is worth something: it notices every mistake that is planted into the engine."""

from __future__ import annotations

import pytest

from support.mutants import MUTANTS, Mutant
from support.soak import prove_all

_ENOUGH = 2000


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mistake_is_noticed(mutant: Mutant) -> None:
    """A few hundred random executions, seldom more, tell a mutated engine from the sound one."""
    with mutant.planted():
        assert prove_all(range(_ENOUGH), stop=True).violations


def test_a_mutant_that_changes_nothing_is_refused() -> None:
    """When the engine's text moves on, the mutant says so."""
    mutant = Mutant("stale", "failures.judge", "no such text", "")
    with pytest.raises(LookupError, match="no such text"), mutant.planted():
        pass

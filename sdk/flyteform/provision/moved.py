"""Which names have followed which: a renamed resource and what was there under its former name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform.provision.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteform.provision.model import Address, Desired


def moves_of(desired: Desired, owned: Iterable[Address]) -> dict[Address, Address]:
    """Return the former address of what is owned under that still; `DeclarationError` if two lay claim to it."""
    ours = frozenset(owned)
    declared = desired.addresses
    moves: dict[Address, Address] = {}
    for address, options in desired.options.items():
        for former in options.moved:
            if former in declared:
                raise DeclarationError(
                    f"{address} was moved from {former}, which is declared too", remedy="drop one of them"
                )
            if former in ours:
                moves.setdefault(address, former)
    twice = [former for former in moves.values() if list(moves.values()).count(former) > 1]
    if twice:
        raise DeclarationError(f"{twice[0]} was moved to two names", remedy="drop one moved=")
    return moves

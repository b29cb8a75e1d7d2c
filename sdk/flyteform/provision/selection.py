"""Which resources a plan is about: those that are named, with what they need, and without what is left out. Pure."""

from __future__ import annotations

import fnmatch
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flyteform.errors import InvalidInputError
from flyteform.provision.model import Kind, project_address

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from flyteform.provision.model import Address, Desired

_SHOWN = 5  # names in one message


@dataclass(frozen=True, slots=True)
class Selection:
    """What a plan is limited to.

    A pattern is a name, `kind:name`, `project/domain/name` or `kind:project/domain/name`, with `*` and `?` for any
    text and any character: `workflow:acme/production/training.*`. Nothing selected means everything.
    """

    targets: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return not self.targets and not self.excludes


EVERYTHING = Selection()


def select(desired: Desired, owned: Collection[Address], selection: Selection) -> tuple[Desired, frozenset[Address]]:
    """Return the part of a declaration that is selected, and the owned addresses that are to be left alone.

    What a target needs comes along; what needs an excluded one is left out with it. `InvalidInputError` for a pattern
    that matches nothing, and for a target that needs what is excluded.
    """
    everything = desired.addresses | frozenset(owned)
    if selection.is_everything:
        return desired, frozenset()
    needs = _needs(desired)
    excluded = _closure(_matching(everything, selection.excludes, "--exclude"), _turned(needs))
    if selection.targets:
        named = _matching(everything, selection.targets, "--target")
        _check(named & excluded, named, selection)
        chosen = _closure(named, needs)
        hit = sorted(chosen & excluded)
        if hit:
            raise InvalidInputError(
                f"{hit[0]} is excluded, and what is targeted needs it", remedy="drop that --exclude, or the --target"
            )
    else:
        chosen = everything - excluded
    return _part(desired, chosen), frozenset(owned) - chosen


def _check(both: Iterable[Address], named: Collection[Address], selection: Selection) -> None:
    if named and not frozenset(named) - frozenset(both):
        raise InvalidInputError(
            f"--exclude {', '.join(selection.excludes)} leaves nothing of --target {', '.join(selection.targets)}",
            remedy="drop one of them",
        )


def spellings(address: Address) -> tuple[str, ...]:
    """Return all ways in which an address can be written."""
    place = () if address.kind is Kind.PROJECT else (address.project, address.domain)
    ways = (address.name, "/".join(part for part in (*place, address.name) if part))
    return tuple(dict.fromkeys((*ways, *(f"{address.kind.value}:{way}" for way in ways))))


def matches(address: Address, pattern: str) -> bool:
    """Tell whether a pattern means an address."""
    return any(fnmatch.fnmatchcase(way, pattern) for way in spellings(address))


def _matching(addresses: Iterable[Address], patterns: Iterable[str], option: str) -> frozenset[Address]:
    known = sorted(addresses)
    found: set[Address] = set()
    for pattern in patterns:
        hit = [address for address in known if matches(address, pattern)]
        if not hit:
            names = ", ".join(dict.fromkeys(f"{each.kind.value}:{each.name}" for each in known[:_SHOWN]))
            raise InvalidInputError(
                f"{option} {pattern} matches nothing that is declared or owned",
                remedy=f"there are for example {names}" if names else "declare something",
            )
        found.update(hit)
    return frozenset(found)


def _needs(desired: Desired) -> dict[Address, set[Address]]:
    """Return what each declared thing needs directly."""
    declared = desired.addresses
    needs: defaultdict[Address, set[Address]] = defaultdict(set)
    for entity in desired.entities:
        needs[entity.address].update((project_address(entity.address.project), *entity.depends_on))
    for setting in desired.settings:
        needs[setting.address].update(setting.depends_on)
    for address, options in desired.options.items():
        needs[address].update(options.depends_on)
    return {address: needed & declared for address, needed in needs.items()}


def _turned(needs: Mapping[Address, Iterable[Address]]) -> dict[Address, set[Address]]:
    turned: defaultdict[Address, set[Address]] = defaultdict(set)
    for address, needed in needs.items():
        for each in needed:
            turned[each].add(address)
    return turned


def _closure(start: Iterable[Address], edges: Mapping[Address, Iterable[Address]]) -> frozenset[Address]:
    found = set(start)
    pending = list(found)
    while pending:
        new = set(edges.get(pending.pop(), ())) - found
        found |= new
        pending += new
    return frozenset(found)


def _part(desired: Desired, chosen: Collection[Address]) -> Desired:
    entities = tuple(each for each in desired.entities if each.address in chosen)
    used = {each.bundle for each in entities}
    return replace(
        desired,
        projects=tuple(each for each in desired.projects if each.address in chosen),
        entities=entities,
        settings=tuple(each for each in desired.settings if each.address in chosen),
        bundles={digest: data for digest, data in desired.bundles.items() if digest in used},
        options={address: options for address, options in desired.options.items() if address in chosen},
    )

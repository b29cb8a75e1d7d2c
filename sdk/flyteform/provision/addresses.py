"""Addresses as people type them: `launch_plan:project/domain/name`, `project:name`, `cluster:name`."""

from __future__ import annotations

from flyteform.errors import InvalidInputError
from flyteform.provision.model import PLACELESS, Address, Kind, cluster_address, project_address

_SLASHES = 2  # a name may have more of them: settings of a workflow, metadata


def address_text(address: Address) -> str:
    """Write an address on one line; `parse_address` reads it back."""
    if address.kind in PLACELESS:
        return f"{address.kind.value}:{address.name}"
    return f"{address.kind.value}:{address.project}/{address.domain}/{address.name}"


def parse_address(text: str) -> Address:
    """Read an address; `InvalidInputError` says how one is written. A whole project's settings have an empty domain."""
    kind, separator, rest = text.partition(":")
    try:
        known = Kind(kind.replace("-", "_"))
    except ValueError:
        known = None
    if separator and known in PLACELESS and rest:
        return project_address(rest) if known is Kind.PROJECT else cluster_address(rest)
    parts = rest.split("/", _SLASHES)
    if known is None or known in PLACELESS or len(parts) <= _SLASHES or not parts[0] or not parts[_SLASHES]:
        kinds = ", ".join(each.value for each in Kind)
        raise InvalidInputError(
            f"{text!r} is no address", remedy=f"write KIND:PROJECT/DOMAIN/NAME, with one of the kinds {kinds}"
        )
    return Address(known, *parts)

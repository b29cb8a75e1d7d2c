"""What providers answer the engine: failed checks and differences in its own messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi.runtime.proto import provider_pb2

from flyteform.pulumi.provider.paths import Difference, path_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteform.pulumi.provider.checks import Failure
    from flyteform.pulumi.provider.diffs import PropertyChange

_KINDS = {
    (Difference.ADDED, False): provider_pb2.PropertyDiff.ADD,
    (Difference.ADDED, True): provider_pb2.PropertyDiff.ADD_REPLACE,
    (Difference.DELETED, False): provider_pb2.PropertyDiff.DELETE,
    (Difference.DELETED, True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    (Difference.UPDATED, False): provider_pb2.PropertyDiff.UPDATE,
    (Difference.UPDATED, True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


def refusals(failures: Iterable[Failure]) -> list[provider_pb2.CheckFailure]:
    """Return failed checks."""
    return [provider_pb2.CheckFailure(property=each.path, reason=each.reason) for each in failures]


def diff_response(changes: Iterable[PropertyChange] = (), *, delete_first: bool = False) -> provider_pb2.DiffResponse:
    """Return differences; a resource that they replace is deleted first or last."""
    changes = tuple(changes)
    some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
    return provider_pb2.DiffResponse(
        changes=some if changes else none,
        replaces=list(dict.fromkeys(str(each.path[0]) for each in changes if each.replaces)),
        diffs=list(dict.fromkeys(str(each.path[0]) for each in changes)),
        detailedDiff={
            path_text(each.path): provider_pb2.PropertyDiff(
                kind=_KINDS[each.difference, each.replaces], inputDiff=each.of_input
            )
            for each in changes
        },
        hasDetailedDiff=True,
        deleteBeforeReplace=delete_first,
    )

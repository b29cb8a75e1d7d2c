"""Checks of the data catalog's requests, and its filters and pages as the store takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flyteidl.datacatalog import datacatalog_pb2 as messages

from flyteform_controlplane.errors import InvalidArgumentError
from flyteform_controlplane.store.sql import catalog as store

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import ColumnElement

DEFAULT_LIMIT: Final = 50
LONGEST_NAME: Final = 255
_TOKEN_DIGITS: Final = 18


def check_dataset_id(key: messages.DatasetID) -> None:
    """Refuse an incomplete identifier."""
    for name in ("project", "domain", "name", "version"):
        _check_name(getattr(key, name), f"dataset {name}")


def check_dataset(dataset: messages.Dataset) -> None:
    """Refuse an incomplete dataset, or partition keys that are empty or repeated."""
    check_dataset_id(dataset.id)
    keys = list(dataset.partitionKeys)
    for key in keys:
        _check_name(key, "partition key")
    if len(set(keys)) != len(keys):
        raise InvalidArgumentError("partition keys must be unique")


def check_artifact(artifact: messages.Artifact) -> None:
    """Refuse an incomplete artifact."""
    check_dataset_id(artifact.dataset)
    _check_name(artifact.id, "artifact id")
    check_data(artifact.data)


def check_data(data: Collection[messages.ArtifactData]) -> None:
    """Refuse an artifact without any data."""
    if not data:
        raise InvalidArgumentError("missing artifact data")
    for item in data:
        _check_name(item.name, "artifact data name")


def check_partitions(dataset: messages.Dataset, artifact: messages.Artifact) -> None:
    """Refuse an artifact whose partitions are not one for each key of the dataset."""
    expected, given = sorted(dataset.partitionKeys), sorted(part.key for part in artifact.partitions)
    if expected != given:
        raise InvalidArgumentError(f"artifact {artifact.id!r} has the partitions {given}, the dataset has {expected}")
    for part in artifact.partitions:
        _check_name(part.value, f"value of partition {part.key!r}")


def check_tag(tag: messages.Tag) -> None:
    """Refuse an incomplete tag."""
    check_dataset_id(tag.dataset)
    _check_name(tag.name, "tag name")
    _check_name(tag.artifact_id, "artifact id")


def check_query(request: messages.GetArtifactRequest | messages.UpdateArtifactRequest) -> None:
    """Refuse a request that does not say which artifact; a tag needs its dataset."""
    match request.WhichOneof("query_handle"):
        case "artifact_id":
            _check_name(request.artifact_id, "artifact id")
            if request.HasField("dataset"):
                check_dataset_id(request.dataset)
        case "tag_name":
            check_dataset_id(request.dataset)
            _check_name(request.tag_name, "tag name")
        case _:
            raise InvalidArgumentError("missing one of artifact_id or tag_name")


def dataset_filters(expression: messages.FilterExpression) -> dict[str, str]:
    """Return the parts of an identifier that are asked for."""
    equal: dict[str, str] = {}
    for each in expression.filters:
        if each.WhichOneof("property_filter") != "dataset_filter":
            raise InvalidArgumentError("datasets can be filtered by dataset properties only")
        name = each.dataset_filter.WhichOneof("property")
        if name is None:
            raise InvalidArgumentError("a dataset filter names no property")
        value = getattr(each.dataset_filter, name)
        if equal.setdefault(name, value) != value:
            raise InvalidArgumentError(f"two filters ask for different values of {name}")
    return equal


def artifact_filters(expression: messages.FilterExpression) -> list[ColumnElement[bool]]:
    """Return the conditions that artifacts have to meet, all of them."""
    return [_artifact_filter(each) for each in expression.filters]


def _artifact_filter(single: messages.SinglePropertyFilter) -> ColumnElement[bool]:
    match single.WhichOneof("property_filter"):
        case "tag_filter":
            return store.tagged(single.tag_filter.tag_name)
        case "partition_filter":
            return store.partitioned(single.partition_filter.key_val.key, single.partition_filter.key_val.value)
        case "artifact_filter":
            return store.named(single.artifact_filter.artifact_id)
        case _:
            raise InvalidArgumentError("artifacts can be filtered by tag, partition and artifact id only")


def page(options: messages.PaginationOptions) -> store.Page:
    """Return which rows are asked for."""
    token = options.token or "0"
    if not token.isascii() or not token.isdigit() or len(token) > _TOKEN_DIGITS:
        raise InvalidArgumentError(f"invalid pagination token: {token}", remedy="send the token of the page before")
    ascending = options.sortOrder == messages.PaginationOptions.ASCENDING
    return store.Page(limit=options.limit or DEFAULT_LIMIT, offset=int(token), ascending=ascending)


def next_token(asked: store.Page, found: int) -> str:
    """Return the token of the following page: "" when this one did not come back full."""
    return str(asked.offset + found) if found == asked.limit else ""


def _check_name(value: str, what: str) -> None:
    if not value:
        raise InvalidArgumentError(f"missing {what}")
    if len(value) > LONGEST_NAME:
        raise InvalidArgumentError(f"{what} has {len(value)} characters, and at most {LONGEST_NAME} are allowed")

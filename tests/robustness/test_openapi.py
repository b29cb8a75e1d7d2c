"""Requests that schemathesis makes from our OpenAPI document: what it promises and what the server does agree."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from robustness.conftest import Server, serving
from support.hostile import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import APIOperation, Case

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# schemathesis takes 20 s to find something that is no node's event, which may hold whole workflows.
SLOW = "POST /api/v1/events/nodes"
FEW = settings(
    max_examples=(EXAMPLES + 1) // 2,  # making one costs more than asking
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a control plane."""
    with serving(tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.mark.timeout(60 * EXAMPLES)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_operation_answers_as_its_document_says(server: Server, mode: GenerationMode) -> None:
    """For requests that fit the document and for such that do not: known statuses, types and shapes, none our fault."""
    address = server.addresses.http
    with requests.Session() as session:
        document = session.get(f"{address}/api/v1/openapi", timeout=20).json()
        schema: Any = schemathesis.openapi.from_dict(_without_dots(document))
        found = [result.ok() for result in schema.get_all_operations()]
        chosen = [one for one in found if mode is GenerationMode.POSITIVE or one.label != SLOW]
        failures = [failure for operation in chosen if (failure := _failure(operation, mode, session, address))]
    assert len(found) > 60
    assert not failures, f"{len(failures)}\n\n" + "\n\n".join(failures)


def _without_dots(document: dict[str, Any]) -> dict[str, Any]:
    """Rename the places in paths: schemathesis takes `{id.name}` for an attribute of `id`."""
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                if parameter["in"] == "path":
                    parameter["name"] = parameter["name"].replace(".", "_")
    document["paths"] = {
        re.sub(r"{[^}]*}", lambda place: place[0].replace(".", "_"), path): operations
        for path, operations in document["paths"].items()
    }
    return document


def _failure(operation: APIOperation[Any], mode: GenerationMode, session: requests.Session, address: str) -> str:
    @seed(0)
    @FEW
    @given(operation.as_strategy(mode))
    def ask(case: Case) -> None:
        response = case.call(base_url=address, session=session, timeout=20)
        case.validate_response(response, checks=CHECKS)

    try:
        ask()
    except Unsatisfiable:
        # There is no wrong way to ask without parameters.
        assert mode is GenerationMode.NEGATIVE, operation.label
        return ""
    except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - one operation's mistakes hide no others
        return f"{operation.label}: {error}"
    return ""

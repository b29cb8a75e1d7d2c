"""What a subscription lacks, said before anything is made: Azure has no resource that asks for a quota."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pulumi_http as http
from pulumi_azure_native import authorization

import pulumi
from flyteform_platform.errors import PlatformError

if TYPE_CHECKING:
    from flyteform_azure.context import Context

_MANAGEMENT: Final = "https://management.azure.com"
_OK: Final = 200


def require_quotas(context: Context) -> None:
    """Raise `PlatformError` with every family of virtual machines of which the subscription may not have enough."""
    wanted = context.config.azure.quotas
    if not wanted:
        return
    found = _limits(context)
    problems = [
        f"- azure.quotas.{family}: {found.get(family, 0)} vCPUs of the {number} that are wanted"
        for family, number in sorted(wanted.items())
        if found.get(family, 0) < number
    ]
    if problems:
        place = f"{context.config.azure.location} of the subscription {context.config.azure.subscription}"
        raise PlatformError(
            f"the quotas of {place} are too small; ask for more in the portal (Quotas, Compute):\n"
            + "\n".join(problems)
        )


def _limits(context: Context) -> dict[str, int]:
    settings = context.config.azure
    options = pulumi.InvokeOptions(provider=context.provider)
    token = authorization.get_client_token(endpoint=f"{_MANAGEMENT}/", opts=options).token
    path = f"subscriptions/{settings.subscription}/providers/Microsoft.Compute/locations/{settings.location}/usages"
    answer = http.get_http(
        url=f"{_MANAGEMENT}/{path}?api-version=2024-07-01", request_headers={"Authorization": f"Bearer {token}"}
    )
    if answer.status_code != _OK:
        raise PlatformError(f"Azure answers {answer.status_code} when asked for quotas: leave azure.quotas out")
    return {each["name"]["value"]: int(each["limit"]) for each in json.loads(answer.response_body)["value"]}

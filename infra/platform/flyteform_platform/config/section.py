"""What all parts of a configuration have in common, and the kinds of values that they hold."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Section(BaseModel):
    """A part of the configuration: immutable, camelCase in files, and nothing in it that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


def _cidr(text: str) -> str:
    ipaddress.ip_network(text)
    return text


def _quantity(text: str) -> str:
    from flyteform_controlplane.domain.quantities import parse_quantity
    from flyteform_controlplane.errors import InvalidArgumentError

    try:
        parse_quantity(text, "the amount")
    except InvalidArgumentError as error:
        raise ValueError(error.message) from None
    return text


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$")]
Label = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
Host = Annotated[str, Field(pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)+[a-z]{2,}$")]
Cidr = Annotated[str, AfterValidator(_cidr)]
Quantity = Annotated[str, AfterValidator(_quantity)]
Digest = Annotated[str, Field(pattern=r"^[^@\s]+@sha256:[0-9a-f]{64}$")]
Image = Annotated[
    str, Field(pattern=r"^[^\s:@]+(:[0-9]+)?(/[^\s:@]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?$")
]

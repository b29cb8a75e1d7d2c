"""The configuration of a platform on this machine: the key `platform` in `stacks/local/Pulumi.<stack>.yaml`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from flyteform.errors import InvalidInputError
from flyteform.schedules import validate_schedule
from flyteform_platform.config.section import Section


def _schedule(text: str) -> str:
    try:
        validate_schedule(text)
    except InvalidInputError as error:
        raise ValueError(error.message) from error
    return text


Port = Annotated[int, Field(ge=0, le=65535)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Schedule = Annotated[str, AfterValidator(_schedule)]


class Example(Section):
    """The project that `make demo` shows, and how often its workflow runs."""

    project: Identifier = "wine"
    domain: Identifier = "development"
    schedule: Schedule = "* * * * *"


class LocalConfig(Section):
    """The configuration of one stack. An empty `state_dir` is one of the user's own, by the stack's name."""

    state_dir: str = Field(default="", pattern=r"^([/~].*)?$")
    grpc_port: Port = 8089
    http_port: Port = 8088
    images: dict[str, str] = Field(default_factory=dict)
    connectors: tuple[str, ...] = ()
    retain_data: bool = True
    example: Example | None = Example()

"""The platform as a resource of Pulumi programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
from flyteform.pulumi.options import with_version
from flyteform_local.pulumi.kinds import CONNECTORS, GRPC_PORT, HTTP_PORT, IMAGES, OUTPUTS, RETAIN, STATE_DIR, TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Platform(pulumi.CustomResource):
    """The embedded platform on this machine, as `flyteform dev` runs it: a process that goes on after the program.

    What is declared on it takes its `endpoint`. Deleting it stops it; its data goes only if `retain_data` is False.
    """

    endpoint: pulumi.Output[str]
    url: pulumi.Output[str]
    log: pulumi.Output[str]
    version: pulumi.Output[str]
    state: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        state_dir: pulumi.Input[str],
        grpc_port: pulumi.Input[int] | None = None,
        http_port: pulumi.Input[int] | None = None,
        images: Mapping[str, pulumi.Input[str]] | None = None,
        connectors: Sequence[pulumi.Input[str]] | None = None,
        retain_data: pulumi.Input[bool] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare it; `state_dir` is absolute, or begins with `~`. A port that is left out is any free one."""
        properties: dict[str, Any] = {
            STATE_DIR: state_dir,
            GRPC_PORT: grpc_port,
            HTTP_PORT: http_port,
            IMAGES: images,
            CONNECTORS: connectors,
            RETAIN: retain_data,
        }
        outputs = {each.name: None for each in OUTPUTS}
        super().__init__(TOKEN, resource_name, {**outputs, **properties}, with_version(opts))

    @property
    def state_dir(self) -> pulumi.Output[str]:
        """Where all data lies."""
        directory: pulumi.Output[str] = self.__dict__[STATE_DIR]
        return directory

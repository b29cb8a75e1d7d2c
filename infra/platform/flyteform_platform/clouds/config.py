"""What a stack in any cloud is told beyond what every stack is, and what is asked of it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from flyteform_platform.config import PlatformConfig, Role, Section

# An image by digest; empty where none is wanted.
Digest = Annotated[str, Field(pattern=r"^(|[^@\s]+@sha256:[0-9a-f]{64})$")]


class CloudSettings(Section):
    """The section of one cloud: who administers the cluster (each cloud has its own names of people)."""

    administrators: tuple[str, ...] = ()


class CloudConfig(PlatformConfig):
    """The configuration of a stack in a cloud. `section` is the name of the cloud's own part.

    `guarded` tells whether the cloud itself guards a public API server by who calls, and not by the address.
    """

    section: ClassVar[str]
    guarded: ClassVar[bool] = False

    @property
    def own(self) -> CloudSettings:
        """The cloud's own part."""
        found: CloudSettings = getattr(self, self.section)
        return found

    def durable(self) -> dict[str, bool]:
        """Return what production's base needs of the cloud's part: each field with its value, and whether it holds."""
        return {}

    def zone_names(self) -> tuple[str, ...] | None:
        """Return the zones that the configuration names; None where zones are numbers."""
        return None

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not self.has(Role.BASE):
            return self
        if not self.own.administrators:
            raise ValueError(f"{self.section}.administrators is empty: nobody could reach the cluster")
        if not any(pool.system for pool in self.node_pools):
            raise ValueError("nodePools has no pool with system: true, where the platform's own pods run")
        if not self.guarded and not self.network.private_api and not self.network.administrators:
            raise ValueError("network.administrators is empty: a public API server needs the CIDRs that may reach it")
        return self

    @model_validator(mode="after")
    def _zoned(self) -> Self:
        names = self.zone_names()
        if names is not None and len(set(names)) < self.network.zones:
            raise ValueError(
                f"{self.section}.zones: the region is known to have {', '.join(names)}, and network.zones is "
                f"{self.network.zones}: name as many, or ask for fewer"
            )
        return self

    @model_validator(mode="after")
    def _durable(self) -> Self:
        if not (self.is_production and self.has(Role.BASE)):
            return self
        if wrong := [text for text, there in self.durable().items() if not there]:
            raise ValueError("the preset prod needs " + "; ".join(wrong))
        return self

"""The control plane's processes: the job of a release, and the replicas that serve."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pulumi_kubernetes.batch import v1 as batch
from pulumi_kubernetes.core import v1 as core

import pulumi
from flyteform_platform.controlplane.databases import volume_of_login
from flyteform_platform.controlplane.names import (
    ACCOUNT,
    COMPONENT,
    GRPC,
    HTTP,
    LOGIN_SECRET,
    OBJECTS_SECRET,
    PRIORITY,
    RELEASE,
    RELEASE_ACCOUNT,
    STATE,
)
from flyteform_platform.parts.deployments import metadata
from flyteform_platform.parts.pods import (
    Mount,
    Pods,
    asking,
    config_volume,
    container_security,
    mounted,
    resources_of,
    scratch,
    template,
)

if TYPE_CHECKING:
    from flyteform_platform.config import PlatformConfig
    from flyteform_platform.controlplane.databases import DatabaseAccess
    from flyteform_platform.foundation import Foundation

_CONFIG: Final = "/etc/flyteform/config"
_TRUST: Final = "/etc/flyteform/trust"
CONFIG: Final = "flyteform-config"
# By then the gateway and every node know that the pod goes; the process itself ends within seconds.
_DRAIN_SECONDS: Final = 10
_COPY: Final = f"""
import os, pathlib
os.umask(0o077)
state = pathlib.Path("{STATE}/auth")
state.mkdir(exist_ok=True)
for source in [*pathlib.Path("/etc/flyteform/login").glob("[!.]*"), pathlib.Path("{_TRUST}/trusted.json")]:
    state.joinpath(source.name).write_bytes(source.read_bytes())
"""


@dataclass(frozen=True, slots=True)
class Processes:
    """What both kinds of pods of a control plane are made of."""

    config: PlatformConfig
    foundation: Foundation
    access: DatabaseAccess
    checksum: pulumi.Input[str]

    def release(self, opts: pulumi.ResourceOptions) -> batch.Job:
        """Make the job that runs once for each image: it migrates the databases, and makes the login's Secret."""
        plane = self.config.control_plane
        name = f"flyteform-release-{hashlib.sha256(plane.image.encode()).hexdigest()[:8]}"
        urls = ("$(FLYTEFORM_DATABASE_URL)", "$(FLYTEFORM_CATALOG_DATABASE_URL)")
        pods = Pods(
            component=RELEASE,
            image=plane.image,
            pull_policy=plane.pull_policy,
            command=(
                "-m",
                "flyteform_controlplane.release",
                *(word for url in urls for word in ("--database-url", url)),
                "--login-secret",
                LOGIN_SECRET,
                "--public-url",
                self.foundation.edge.url,
            ),
            account=RELEASE_ACCOUNT,
            resources=plane.resources,
            nodes=self.foundation.profile.system,
            environment=self.access.urls,
            mounts=self.access.mounts,
            before=self.access.sidecars,
            pod_labels=self.foundation.identities.control_plane.pod_labels,
            restart="Never",
            calls_kubernetes=True,
        )
        return batch.Job(
            "flyteform-release",
            metadata=metadata(name, plane.namespace, RELEASE),
            spec=batch.JobSpecArgs(
                backoff_limit=4, active_deadline_seconds=900, completions=1, parallelism=1, template=template(pods)
            ),
            # A job cannot be changed, and its successor may have its name.
            opts=pulumi.ResourceOptions.merge(
                opts, pulumi.ResourceOptions(delete_before_replace=True, replace_on_changes=["spec"])
            ),
        )

    def serving(self) -> Pods:
        """Return the pods that serve."""
        plane, foundation = self.config.control_plane, self.foundation
        state = Mount(STATE, scratch("state"), writable=True)
        trust = Mount(_TRUST, config_volume("config", CONFIG), init=True)
        login = volume_of_login()
        return Pods(
            component=COMPONENT,
            image=plane.image,
            pull_policy=plane.pull_policy,
            command=self._arguments(),
            account=ACCOUNT,
            resources=plane.resources,
            nodes=foundation.profile.system,
            zone_label=foundation.profile.zone_label,
            ports={"grpc": GRPC, "http": HTTP},
            environment={**self.access.urls, **foundation.metadata.environment, "FLYTEFORM_LOG_FORMAT": "json"},
            secrets={key: (OBJECTS_SECRET, key) for key in foundation.metadata.keys},
            mounts=(*self.access.mounts, state, Mount(_CONFIG, trust.volume), login),
            before=(*self.access.sidecars, self._copier((state, trust, login))),
            probes=asking("/healthcheck", "http", ready="/readyz"),
            pod_labels=foundation.identities.control_plane.pod_labels,
            annotations={"flyteform.org/config": self.checksum},
            grace_seconds=45,
            drain_seconds=_DRAIN_SECONDS,
            priority=PRIORITY,
        )

    def _arguments(self) -> tuple[pulumi.Input[str], ...]:
        return (
            "-m",
            "flyteform_controlplane",
            "--state-dir",
            STATE,
            "--host",
            "0.0.0.0",  # noqa: S104 - the pod's own address; policies say who reaches it
            "--auth",
            "--public-url",
            self.foundation.edge.url,
            "--objects-prefix",
            self.foundation.metadata.uri,
            "--database-connections",
            str(self.config.control_plane.database_connections),
            "--config",
            f"{_CONFIG}/config.yaml",
        )

    def _copier(self, mounts: tuple[Mount, ...]) -> core.ContainerArgs:
        """Return what puts the login's files where the control plane keeps its own: a Secret cannot be written to."""
        plane = self.config.control_plane
        return core.ContainerArgs(
            name="login",
            image=plane.image,
            image_pull_policy=plane.pull_policy,
            command=["python", "-c", _COPY],
            resources=resources_of(plane.resources),
            security_context=container_security(),
            volume_mounts=[mounted(each) for each in mounts],
        )

"""A cluster's profile from Flyte's own settings: the sections `plugins.k8s` and `plugins.logs` of a Flyte 1 data plane.

Names are Flyte's, so that what is in the values of its charts can stay as it is. What has no meaning here is let pass,
and what is not known is an error.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from flyteform_dataplane.copilot.outputs import parse_duration
from flyteform_dataplane.kubernetes.profile import (
    Accelerators,
    Copilot,
    GracePeriods,
    Json,
    LogLink,
    PodProfile,
    Quantity,
    Spot,
)

_FLYTES_COPIER = "flytecopilot"
_PROFILE = PodProfile()
_GRACE, _DEVICES, _COPILOT = _PROFILE.grace, _PROFILE.accelerators, _PROFILE.copilot


def _joined(value: Any) -> Any:
    """Return a mapping; in charts it often is a list of mappings with one entry each."""
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        return {name: each for one in value for name, each in one.items()}
    return value


def _duration(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


def _ours(image: str) -> str:
    """Leave out the image of Flyte's own copier, whose commands are others: raw containers are refused by name then."""
    return "" if _FLYTES_COPIER in image else image


Texts: TypeAlias = Annotated[dict[str, str], BeforeValidator(_joined)]
Duration: TypeAlias = Annotated[timedelta, BeforeValidator(_duration)]
Tolerations: TypeAlias = tuple[Json, ...]


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=lambda name: name.replace("_", "-"),
        coerce_numbers_to_str=True,
    )


class _CopilotSection(_Section):
    image: str = ""
    cpu: Quantity = _COPILOT.cpu
    memory: Quantity = _COPILOT.memory
    timeout: Duration = _COPILOT.timeout
    # Names and places that are fixed here, and are Flyte's defaults.
    name: Any = None
    default_input_path: Any = None
    default_output_path: Any = None
    input_vol_name: Any = None
    output_vol_name: Any = None
    start_timeout: Any = None
    storage: Any = None


class _PodSection(_Section):
    inject_finalizer: bool = False
    delete_resource_on_finalize: bool = False
    default_annotations: Texts = Field(default_factory=lambda: dict(_PROFILE.annotations))
    default_labels: Texts = Field(default_factory=dict)
    default_env_vars: Texts = Field(default_factory=dict)
    default_env_vars_from_env: Texts = Field(default_factory=dict)
    default_env_from_secrets: tuple[str, ...] = ()
    default_env_from_configmaps: tuple[str, ...] = ()
    default_cpus: Quantity = _PROFILE.cpu
    default_memory: Quantity = _PROFILE.memory
    default_tolerations: Tolerations = ()
    default_node_selector: Texts = Field(default_factory=dict)
    default_affinity: Json | None = None
    scheduler_name: str = ""
    interruptible_tolerations: Tolerations = ()
    interruptible_node_selector: Texts = Field(default_factory=dict)
    interruptible_node_selector_requirement: Json | None = None
    non_interruptible_node_selector_requirement: Json | None = None
    resource_tolerations: Annotated[dict[str, Tolerations], BeforeValidator(_joined)] = Field(default_factory=dict)
    add_tolerations_for_extended_resources: tuple[str, ...] = ()
    co_pilot: _CopilotSection = _CopilotSection()
    create_container_error_grace_period: Duration = _GRACE.create_container_error
    create_container_config_error_grace_period: Duration = _GRACE.create_container_config_error
    image_pull_backoff_grace_period: Duration = _GRACE.image_pull_backoff
    pod_pending_timeout: Duration = _GRACE.pending
    image_pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""
    gpu_resource_name: str = _DEVICES.resource
    gpu_device_node_label: str = _DEVICES.device_label
    gpu_partition_size_node_label: str = _DEVICES.partition_label
    gpu_unpartitioned_node_selector_requirement: Json | None = None
    gpu_unpartitioned_toleration: Json | None = None
    accelerator_devices: Texts = Field(default_factory=dict)
    default_pod_security_context: Json = Field(default_factory=lambda: dict(_PROFILE.pod_security))
    default_security_context: Json = Field(default_factory=lambda: dict(_PROFILE.container_security))
    enable_host_networking_pod: bool = False
    default_pod_dns_config: Json | None = None
    default_pod_template_name: str = ""
    # Of Flyte's own ways to watch, to write and to report.
    default_pod_template_resync: Any = None
    send_object_events: Any = None
    update_base_backoff_duration: Any = None
    update_backoff_retries: Any = None

    def profile(self) -> PodProfile:
        """Return what a cluster of these settings wants of its pods."""
        named = {name: os.environ[at] for name, at in self.default_env_vars_from_env.items() if at in os.environ}
        copilot = self.co_pilot
        return PodProfile(
            labels=self.default_labels,
            annotations=self.default_annotations,
            environment=self.default_env_vars | named,
            env_from_secrets=self.default_env_from_secrets,
            env_from_config_maps=self.default_env_from_configmaps,
            cpu=self.default_cpus,
            memory=self.default_memory,
            tolerations=self.default_tolerations,
            resource_tolerations=self.resource_tolerations,
            add_tolerations_for_extended_resources=self.add_tolerations_for_extended_resources,
            node_selector=self.default_node_selector,
            affinity=self.default_affinity,
            scheduler=self.scheduler_name,
            dns=self.default_pod_dns_config,
            host_network=self.enable_host_networking_pod,
            image_pull_policy=self.image_pull_policy,
            pod_security=self.default_pod_security_context,
            container_security=self.default_security_context,
            default_pod_template_name=self.default_pod_template_name,
            copilot=Copilot(
                image=_ours(copilot.image), cpu=copilot.cpu, memory=copilot.memory, timeout=copilot.timeout
            ),
            delete_resource_on_finalize=self.delete_resource_on_finalize,
            inject_finalizer=self.inject_finalizer,
            accelerators=self._accelerators(),
            spot=Spot(
                self.interruptible_tolerations,
                self.interruptible_node_selector,
                self.interruptible_node_selector_requirement,
                self.non_interruptible_node_selector_requirement,
            ),
            grace=GracePeriods(
                self.image_pull_backoff_grace_period,
                self.create_container_error_grace_period,
                self.create_container_config_error_grace_period,
                self.pod_pending_timeout,
            ),
        )

    def _accelerators(self) -> Accelerators:
        return Accelerators(
            self.gpu_resource_name,
            self.gpu_device_node_label,
            self.gpu_partition_size_node_label,
            self.accelerator_devices,
            self.gpu_unpartitioned_node_selector_requirement,
            self.gpu_unpartitioned_toleration,
        )


class _Link(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    displayName: str = ""  # noqa: N815 - Flyte's name
    templateUris: tuple[str, ...] = ()  # noqa: N815 - as above

    def link(self) -> LogLink:
        return LogLink(self.displayName, self.templateUris)


class _LogSection(_Section):
    kubernetes_enabled: bool = False
    kubernetes_url: str = ""
    kubernetes_template_uri: str = ""
    cloudwatch_enabled: bool = False
    cloudwatch_region: str = ""
    cloudwatch_log_group: str = ""
    cloudwatch_template_uri: str = ""
    stackdriver_enabled: bool = False
    gcp_project: str = ""
    stackdriver_logresourcename: str = ""
    stackdriver_template_uri: str = ""
    templates: tuple[_Link, ...] = ()
    dynamic_log_links: Annotated[dict[str, _Link], BeforeValidator(_joined)] = Field(default_factory=dict)

    def links(self) -> tuple[LogLink, ...]:
        """Return the links of all tasks, by Flyte's names and addresses."""
        kubernetes = (
            f"{self.kubernetes_url}/#!/log/{{{{ .namespace }}}}/{{{{ .podName }}}}/pod?namespace={{{{ .namespace }}}}"
        )
        cloudwatch = (
            f"https://console.aws.amazon.com/cloudwatch/home?region={self.cloudwatch_region}"
            f"#logEventViewer:group={self.cloudwatch_log_group};stream=var.log.containers."
            "{{ .podName }}_{{ .namespace }}_{{ .containerName }}-{{ .containerId }}.log"
        )
        stackdriver = (
            f"https://console.cloud.google.com/logs/viewer?project={self.gcp_project}"
            f"&angularJsUrl=%2Flogs%2Fviewer%3Fproject%3D{self.gcp_project}"
            f"&resource={self.stackdriver_logresourcename}"
            "&advancedFilter=resource.labels.pod_name%3D{{ .podName }}"
        )
        known = (
            (self.kubernetes_enabled, "Kubernetes Logs", self.kubernetes_template_uri or kubernetes),
            (self.cloudwatch_enabled, "Cloudwatch Logs", self.cloudwatch_template_uri or cloudwatch),
            (self.stackdriver_enabled, "Stackdriver Logs", self.stackdriver_template_uri or stackdriver),
        )
        named = [LogLink(name, (uri,)) for enabled, name, uri in known if enabled]
        return (*named, *(one.link() for one in self.templates))


class _Plugins(BaseModel):
    """The sections that are about pods; those of other plugins are not."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    k8s: _PodSection = _PodSection()
    logs: _LogSection = _LogSection()


class FlyteConfig(BaseModel):
    """A file of a Flyte data plane's settings, which has other sections too."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    plugins: _Plugins

    def profile(self) -> PodProfile:
        """Return what a cluster of these settings wants of its pods; pydantic has named what is wrong by then."""
        logs = self.plugins.logs
        dynamic = {name: each.link() for name, each in logs.dynamic_log_links.items()}
        return replace(self.plugins.k8s.profile(), log_links=logs.links(), dynamic_log_links=dynamic)

"""A task taken apart: interface, where it runs, what it asks for, how it is cached and retried, and all the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core import tasks_pb2

from flyteform.provision.impact.forms import Form, Shown, differences, flattened, interface_form

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteidl.core import security_pb2

    from flyteform.provision.model import FieldChange

# The argument after one of these is where the code lies: our entry point's option, and flytekit's.
_BUNDLE_OPTIONS = frozenset({"--bundle", "--additional-distribution"})


def task_differences(before: tasks_pb2.TaskTemplate, after: tasks_pb2.TaskTemplate) -> tuple[FieldChange, ...]:
    """Return what is different about two tasks, apart from their ids and from where their code lies."""
    return differences(task_form(before), task_form(after))


def task_form(template: tasks_pb2.TaskTemplate) -> Form:
    """Take a task apart."""
    rest = tasks_pb2.TaskTemplate()
    rest.CopyFrom(template)
    form = interface_form(template.interface)
    form["type"] = Shown(template.type)
    form |= _metadata_form(rest.metadata)
    form |= _container_form(rest.container) if rest.HasField("container") else {}
    form |= _secrets_form(template.security_context.secrets)
    for name in ("id", "interface", "type"):
        rest.ClearField(name)
    if rest.HasField("security_context"):
        del rest.security_context.secrets[:]
    return form | flattened(rest)


def _metadata_form(metadata: tasks_pb2.TaskMetadata) -> Form:
    """Take apart what people set most, and leave the rest in `metadata`."""
    form: Form = {}
    if metadata.discoverable:
        form["cache"] = Shown(f"version {metadata.discovery_version}")
        if metadata.cache_ignore_input_vars:
            form["cache.ignores"] = Shown(", ".join(sorted(metadata.cache_ignore_input_vars)))
        if metadata.cache_serializable:
            form["cache.serialize"] = Shown("true")
    if metadata.retries.retries:
        form["retries"] = Shown(str(metadata.retries.retries))
    if metadata.timeout.seconds or metadata.timeout.nanos:
        form["timeout"] = Shown(metadata.timeout.ToJsonString())
    if metadata.interruptible:
        form["interruptible"] = Shown("true")
    for name in ("discoverable", "discovery_version", "cache_ignore_input_vars", "cache_serializable", "retries"):
        metadata.ClearField(name)
    for name in ("timeout", "interruptible", "runtime"):
        metadata.ClearField(name)
    return form


def _container_form(container: tasks_pb2.Container) -> Form:
    """Take apart what people set most, and leave the rest in `container`."""
    form = {"image": Shown(container.image)} if container.image else {}
    for word, entries in (("requests", container.resources.requests), ("limits", container.resources.limits)):
        form |= {f"resources.{word}.{resource_name(entry)}": Shown(entry.value) for entry in entries}
    form |= {f"environment.{pair.key}": Shown(pair.value) for pair in container.env}
    for name in ("image", "resources", "env"):
        container.ClearField(name)
    arguments = list(container.args)
    for index, argument in enumerate(arguments[:-1]):
        if argument in _BUNDLE_OPTIONS:
            container.args[index + 1] = "(code)"
    return form


def resource_name(entry: tasks_pb2.Resources.ResourceEntry) -> str:
    """Return what a resource is called: `cpu`, `memory`, `gpu` and so on."""
    known = tasks_pb2.Resources.ResourceName.values()
    return tasks_pb2.Resources.ResourceName.Name(entry.name).lower() if entry.name in known else str(entry.name)


def _secrets_form(secrets: Iterable[security_pb2.Secret]) -> Form:
    """Name the secrets that a task asks for, and how it gets them; their values are never part of a spec."""
    form: Form = {}
    for secret in secrets:
        name = "/".join(part for part in (secret.group, secret.group_version, secret.key) if part)
        how = type(secret).MountType.Name(secret.mount_requirement).lower()
        form[f"secrets.{name}"] = Shown(f"{how} {secret.env_var}".strip())
    return form

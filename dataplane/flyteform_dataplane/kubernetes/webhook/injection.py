"""Secrets of Kubernetes in a pod: as files or as variables, at the places and by the names that are Flyte's.

Pods name secrets of Kubernetes only: their values are read by the kubelet, and never seen by this program.
"""

from __future__ import annotations

import copy
import hashlib
import re
from typing import TYPE_CHECKING, Any, Protocol

from flyteidl.core.security_pb2 import Secret

from flyteform.errors import FlyteformError, InvalidInputError
from flyteform_dataplane.kubernetes.podspecs import containers_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Json = dict[str, Any]

FOLDER = "/etc/flyte/secrets"
# Of secrets and of keys in them; `.` and what begins with two dots are no names of files.
_NAME = re.compile(r"(?!\.\.|\.$)[-._a-zA-Z0-9]{1,253}")
VARIABLE_PREFIX = "_FSEC_"


class SecretManager(Protocol):
    """Knows secrets, and how a pod gets them."""

    async def inject(self, secret: Secret, spec: Json) -> None:
        """Change the specification of a pod so that its containers get the secret.

        `InvalidInputError` for a request that this manager cannot serve; the next one is asked then.
        """
        ...


class KubernetesSecrets:
    """Secrets of the pod's own namespace: the group is the secret's name, the key is one in it.

    One that is not there does not keep the pod from starting: the task says then which one it misses.
    """

    async def inject(self, secret: Secret, spec: Json) -> None:
        """Mount it as a file, unless it is wanted as a variable."""
        if not secret.group or not secret.key:
            raise InvalidInputError(
                f"a secret of Kubernetes needs a group and a key, not group {secret.group!r} and key {secret.key!r}",
                remedy="name both: Secret(group='NAME OF THE SECRET', key='KEY IN IT')",
            )
        if not (_NAME.fullmatch(secret.group) and _NAME.fullmatch(secret.key)):
            raise InvalidInputError(
                f"Kubernetes has no secret {secret.key!r} in {secret.group!r}",
                remedy="names have letters, digits, dots, hyphens and underscores, and no two dots in front",
            )
        if secret.mount_requirement == Secret.ENV_VAR:
            reference = {"name": secret.group, "key": secret.key, "optional": True}
            add_variable(secret, spec, {"valueFrom": {"secretKeyRef": reference}})
        else:
            _add_file(secret, spec)


async def injected(spec: Json, secrets: Iterable[Secret], managers: Sequence[SecretManager]) -> Json:
    """Return the specification of a pod with all secrets in it, each from the first manager that can serve it.

    `InvalidInputError` says why none can.
    """
    made = copy.deepcopy(spec)
    for secret in secrets:
        made = await _with(made, secret, managers)
    return made


async def _with(spec: Json, secret: Secret, managers: Sequence[SecretManager]) -> Json:
    refusals = []
    for manager in managers:
        changed = copy.deepcopy(spec)
        try:
            await manager.inject(secret, changed)
        except InvalidInputError as error:
            refusals.append(_sentence(error))
        else:
            return changed
    raise InvalidInputError("; ".join(refusals) or "there is no manager of secrets")


def _sentence(error: FlyteformError) -> str:
    return f"{error.message} ({error.remedy})" if error.remedy else error.message


def add_variable(secret: Secret, spec: Json, content: Json) -> None:
    """Give all containers a secret as a variable; `content` is its `value` or its `valueFrom`."""
    own = "_".join(part for part in (secret.group, secret.key) if part)
    names = [f"{VARIABLE_PREFIX}{own}".upper(), *filter(None, [secret.env_var])]
    for container in containers_in(spec):
        for name in names:
            _set_variable(container, {"name": name, **content})
        _set_variable(container, {"name": "FLYTE_SECRETS_ENV_PREFIX", "value": VARIABLE_PREFIX})


def _add_file(secret: Secret, spec: Json) -> None:
    volume = _volume(secret.group, spec)
    item = {"key": secret.key, "path": secret.key.lower()}
    if item not in volume["secret"]["items"]:
        volume["secret"]["items"].append(item)
    folder = f"{FOLDER}/{secret.group.lower()}"
    for container in containers_in(spec):
        mounts = _entries(container, "volumeMounts")
        if volume["name"] not in [mount["name"] for mount in mounts]:
            mounts.append({"name": volume["name"], "mountPath": folder, "readOnly": True})
        _set_variable(container, {"name": "FLYTE_SECRETS_DEFAULT_DIR", "value": FOLDER})
        _set_variable(container, {"name": "FLYTE_SECRETS_FILE_PREFIX", "value": ""})
        if secret.env_var:
            _set_variable(container, {"name": secret.env_var, "value": f"{folder}/{item['path']}"})


def _volume(group: str, spec: Json) -> Json:
    """Return the volume of a secret, added if there is none yet; its name fits however long the secret's is."""
    name = f"flyte-secret-{hashlib.sha256(group.encode()).hexdigest()[:16]}"
    volumes = _entries(spec, "volumes")
    for volume in volumes:
        if volume["name"] == name:
            return volume
    volumes.append({"name": name, "secret": {"secretName": group, "items": [], "optional": True}})
    return volumes[-1]


def _entries(of: Json, field: str) -> list[Json]:
    """Return a list of an object that may be missing or null, to be changed in its place."""
    if of.get(field) is None:
        of[field] = []
    found: list[Json] = of[field]
    return found


def _set_variable(container: Json, variable: Json) -> None:
    """Add a variable; one that the container has itself stays."""
    variables = _entries(container, "env")
    if variable["name"] not in [one["name"] for one in variables]:
        variables.append(variable)

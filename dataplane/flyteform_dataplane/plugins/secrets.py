"""Secrets of tasks that are processes: variables and files of the data plane's own, for those that ask."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flyteidl.core.security_pb2 import Secret

if TYPE_CHECKING:
    from flyteidl.core.tasks_pb2 import TaskTemplate

_PREFIX, _FOLDER = "_FSEC_", "FLYTE_SECRETS_DEFAULT_DIR"


def given_secrets(task: TaskTemplate) -> dict[str, str]:
    """Return the variables by which a task gets the secrets that it asks for; one that is not there it misses itself.

    They are the data plane's `_FSEC_<GROUP>_<KEY>`, and the folder of files that its `FLYTE_SECRETS_DEFAULT_DIR` names.
    """
    found: dict[str, str] = {}
    for secret in task.security_context.secrets:
        parts = [part for part in (secret.group, secret.group_version, secret.key) if part]
        name = _PREFIX + "_".join(parts).upper()
        if name in os.environ and secret.mount_requirement != Secret.FILE:
            found |= {name: os.environ[name]} | ({secret.env_var: os.environ[name]} if secret.env_var else {})
        elif _FOLDER in os.environ:
            found[_FOLDER] = os.environ[_FOLDER]
            if secret.env_var:
                found[secret.env_var] = str(Path(os.environ[_FOLDER], *(part.lower() for part in parts)))
    return found

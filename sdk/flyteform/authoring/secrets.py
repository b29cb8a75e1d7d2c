"""Secrets: what a task asks for, and how it reads them while it runs. No value is ever part of a definition."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from flyteform.errors import DefinitionError, InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_PREFIX, _FOLDER = "_FSEC_", "/etc/secrets"


class SecretMount(Enum):
    """How a secret comes to the task; ANY leaves that to the platform."""

    ANY = 0
    ENV_VAR = 1
    FILE = 2


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that a task asks for: on Kubernetes, `group` is the name of a Secret and `key` one in it.

    `env_var` names one more variable for it: its value, or for FILE where it is.
    """

    MountType: ClassVar[type[SecretMount]] = SecretMount

    group: str
    key: str = ""
    group_version: str = ""
    mount_requirement: SecretMount = SecretMount.ANY
    env_var: str = ""

    def __post_init__(self) -> None:
        """Refuse what no platform could serve."""
        texts = (self.group, self.key, self.group_version, self.env_var)
        if not self.group or not all(isinstance(text, str) for text in texts):
            raise DefinitionError(f"{self}: a secret has a group, and names are texts", remedy='Secret(group="db", …)')
        mount: Any = self.mount_requirement
        if not isinstance(mount, SecretMount):
            known = ", ".join(f"Secret.MountType.{each.name}" for each in SecretMount)
            raise DefinitionError(f"{self}: {mount!r} is no way to mount", remedy=f"give {known}")
        if self.env_var and not _VARIABLE.fullmatch(self.env_var):
            raise DefinitionError(
                f"{self}: env_var={self.env_var!r} is no name of a variable", remedy="use A to Z, 0 to 9 and _"
            )

    def __str__(self) -> str:
        """Name it."""
        return f"Secret(group={self.group!r}, key={self.key!r})"


def checked_secrets(requests: Iterable[Any], place: str) -> tuple[Secret, ...]:
    """Return the requests of a task, which are all Secrets."""
    found = tuple(requests)
    for each in found:
        if not isinstance(each, Secret):
            raise DefinitionError(
                f"{place}: secret_requests has {each!r}, which is no Secret",
                remedy='write secret_requests=[Secret(group="db", key="password")]',
            )
    return found


class Secrets:
    """The secrets of the running task: variables first, then files, at the places and by the names that are Flyte's.

    In a run on this machine (`local`) a variable needs no prefix: `DB_PASSWORD` for group `db` and key `password`.
    """

    def __init__(self, *, local: bool) -> None:
        self._local = local

    def get(self, group: str, key: str = "", group_version: str = "") -> str:
        """Return a secret's value without white space around it; `NotFoundError` says where it was looked for.

        `InvalidInputError` where it is no text.
        """
        for name in self._variables(group, group_version, key):
            if name in os.environ:
                return os.environ[name].strip()
        file = self._file(group, group_version, key)
        try:
            return file.read_text().strip()
        except UnicodeDecodeError:
            raise InvalidInputError(
                f"secret {key!r} of group {group!r} is no text: {file}", remedy="read that file itself"
            ) from None
        except OSError:
            raise NotFoundError(
                f"secret {key!r} of group {group!r} is neither in the variable "
                f"{' or '.join(self._variables(group, group_version, key))} nor in the file {file}",
                remedy=self._remedy(group, key),
            ) from None

    def _variables(self, *parts: str) -> list[str]:
        name = "_".join(part.upper() for part in parts if part)
        prefixes = (os.environ.get("FLYTE_SECRETS_ENV_PREFIX", _PREFIX), *(("",) if self._local else ()))
        return [f"{prefix}{name}" for prefix in prefixes]

    def _file(self, *parts: str) -> Path:
        *folders, name = (part.lower() for part in parts if part)
        prefix = os.environ.get("FLYTE_SECRETS_FILE_PREFIX", "")
        return Path(os.environ.get("FLYTE_SECRETS_DEFAULT_DIR", _FOLDER), *folders, f"{prefix}{name}")

    def _remedy(self, group: str, key: str) -> str:
        if self._local:
            return "set the variable, or name the folder of such files in FLYTE_SECRETS_DEFAULT_DIR"
        return f"ask for it with @task(secret_requests=[Secret(group={group!r}, key={key!r})]), and make it there"

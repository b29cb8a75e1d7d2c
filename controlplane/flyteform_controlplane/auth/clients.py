"""The programs that may have tokens: who they are, what they may ask for, and the hashes of their secrets."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flyteform.errors import InvalidInputError
from flyteform_controlplane.auth.files import damaged, write_private
from flyteform_controlplane.auth.secrets import SecretHash, check, generate
from flyteform_controlplane.domain.principals import ALL_SCOPE, DATA_PLANE_SCOPE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

USER_CLIENT: Final = "flyteform"
_FILE: Final = "clients.json"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Client:
    """A program with a secret; `cluster` is set for a data plane, whose tokens are for that cluster alone."""

    id: str
    secret: SecretHash
    cluster: str = ""

    @property
    def scope(self) -> str:
        """The one scope that its tokens have."""
        return DATA_PLANE_SCOPE if self.cluster else ALL_SCOPE


def data_plane_client(cluster: str) -> str:
    """Return the id of the client for the data plane of a cluster."""
    return f"dataplane-{cluster}"


def secret_file(directory: Path, client: str) -> Path:
    """Return where the secret of a client is put when it is made; nothing reads it again."""
    return directory / f"{client}.secret"


def open_clients(directory: Path, clusters: Sequence[str]) -> Mapping[str, Client]:
    """Return all clients; those that are not there yet are made: one for users, one for each cluster.

    A secret that lies in its file already, put there by the operator, is taken over if it is a good one.
    """
    path = directory / _FILE
    clients = _read(path)
    wanted = {USER_CLIENT: "", **{data_plane_client(cluster): cluster for cluster in clusters}}
    made = {name: _make(directory, name, cluster) for name, cluster in wanted.items() if name not in clients}
    if made:
        clients |= made
        _write(path, clients)
    return clients


def _make(directory: Path, name: str, cluster: str) -> Client:
    path = secret_file(directory, name)
    if path.exists():
        secret = path.read_text(encoding="utf-8").strip()
        try:
            check(secret)
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}: {error.message}", remedy=error.remedy) from None
    else:
        secret = generate()
        write_private(path, secret.encode())
    _log.warning("the secret of client %s is in %s and nowhere else: only its hash is kept", name, path)
    return Client(name, SecretHash.of(secret), cluster)


def _read(path: Path) -> dict[str, Client]:
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_bytes())["clients"]
        return {
            entry["id"]: Client(entry["id"], SecretHash.from_text(entry["secret"]), entry["cluster"])
            for entry in entries
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, "it is no list of clients") from error


def _write(path: Path, clients: Mapping[str, Client]) -> None:
    entries = [{"id": c.id, "cluster": c.cluster, "secret": c.secret.as_text()} for c in clients.values()]
    write_private(path, json.dumps({"clients": entries}, indent=2).encode())

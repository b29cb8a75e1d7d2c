"""Kubeconfigs without a credential: whoever uses one gets it from the cloud, with an identity of their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def kubeconfig(
    name: str,
    server: str,
    command: str,
    arguments: Sequence[str] = (),
    *,
    authority: str = "",
    more: Mapping[str, object] | None = None,
) -> str:
    """Return the text of a kubeconfig that runs a command for its credential.

    `authority` is the certificate of the API server's authority in base64; without it the public ones are trusted.
    `more` is what the command has to be told beyond its arguments.
    """
    cluster = {"server": server, **({"certificate-authority-data": authority} if authority else {})}
    runs: dict[str, object] = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": command,
        "interactiveMode": "Never",
        **({"args": list(arguments)} if arguments else {}),
        **(more or {}),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
        "users": [{"name": name, "user": {"exec": runs}}],
    }
    return json.dumps(document)

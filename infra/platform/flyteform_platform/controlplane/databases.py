"""How the control plane's pods reach its databases: URLs without passwords, which are in files that rotate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pulumi_kubernetes.core import v1 as core

import pulumi
from flyteform_platform.config.common import Amounts
from flyteform_platform.foundation import Database, Password, Token
from flyteform_platform.parts.pods import (
    Mount,
    config_volume,
    container_security,
    mounted,
    resources_of,
    scratch,
    secret_volume,
    variables,
)

if TYPE_CHECKING:
    from flyteform_platform.foundation import Foundation

_FOLDER: Final = "/etc/flyteform/databases"
_CA_FOLDER: Final = "/etc/flyteform/database-ca"
CA_CONFIG: Final = "flyteform-database-ca"
# The certificates of public authorities, in the image.
_PUBLIC: Final = "/etc/ssl/certs/ca-certificates.crt"
# The file is replaced as a whole, so that no reader sees half a token. One that cannot be had is asked for again soon,
# while the last one is still good. The first process of a container ends at an order only if it says so.
_LOOP: Final = """umask 077
trap 'exit 0' TERM INT
while :; do
  pause=5
  "$@" > "$TOKEN_FILE.new" && mv "$TOKEN_FILE.new" "$TOKEN_FILE" && pause=$REFRESH_SECONDS
  sleep "$pause" & wait $!
done"""


@dataclass(frozen=True, slots=True)
class DatabaseAccess:
    """What pods get: `urls` by variable, volumes, and the sidecars that fetch tokens."""

    urls: dict[str, pulumi.Input[str]]
    mounts: tuple[Mount, ...]
    sidecars: tuple[core.ContainerArgs, ...]


def database_access(foundation: Foundation) -> DatabaseAccess:
    """Return the access to both databases."""
    databases = {"admin": foundation.admin, "catalog": foundation.catalog}
    mounts = [_password_mount(name, each) for name, each in databases.items()]
    sidecars = tuple(
        _sidecar(name, each.login, mount)
        for (name, each), mount in zip(databases.items(), mounts, strict=True)
        if isinstance(each.login, Token)
    )
    trusts = any(not isinstance(each.ca, str) or each.ca for each in databases.values())
    secret = foundation.admin.ca_secret
    if secret:
        mounts.append(Mount(_CA_FOLDER, secret_volume("database-ca", secret)))
    elif trusts:
        mounts.append(Mount(_CA_FOLDER, config_volume("database-ca", CA_CONFIG)))
    file = f"{_CA_FOLDER}/{'ca.crt' if secret else 'ca.pem'}" if secret or trusts else _PUBLIC
    return DatabaseAccess(
        urls={
            "FLYTEFORM_DATABASE_URL": _url("admin", foundation.admin),
            "FLYTEFORM_CATALOG_DATABASE_URL": _url("catalog", foundation.catalog),
            # Whose certificates the databases' own have to be signed by.
            "PGSSLROOTCERT": file,
        },
        mounts=tuple(mounts),
        sidecars=sidecars,
    )


def authorities(foundation: Foundation) -> pulumi.Output[str]:
    """Return the certificates of all authorities that sign databases' certificates, as one PEM text."""
    given = pulumi.Output.all(foundation.admin.ca, foundation.catalog.ca)
    return given.apply(lambda texts: "\n".join(dict.fromkeys(text.strip() for text in texts if text)) + "\n")


def _url(name: str, database: Database) -> pulumi.Output[str]:
    # libpq's way of writing: a user name of a cloud's identity may have an @ in it.
    user = pulumi.Output.from_input(database.user).apply(lambda text: text.replace("@", "%40"))
    rest = f":{database.port}/{database.name}?sslmode={database.sslmode}&passwordfile={_FOLDER}/{name}/password"
    return pulumi.Output.concat("postgresql://", user, "@", database.host, rest)


def _password_mount(name: str, database: Database) -> Mount:
    volume = f"database-{name}"
    match database.login:
        case Password(name=secret, key=key):
            items = [core.KeyToPathArgs(key=key, path="password")]
            held = core.SecretVolumeSourceArgs(secret_name=secret, items=items, default_mode=0o440)
            return Mount(f"{_FOLDER}/{name}", core.VolumeArgs(name=volume, secret=held))
        case Token():
            return Mount(f"{_FOLDER}/{name}", scratch(volume, "1Mi", "Memory"))


def _sidecar(name: str, token: Token, mount: Mount) -> core.ContainerArgs:
    """Return a container that starts before the others and goes on beside them: there is a token before one asks."""
    file = f"{mount.path}/password"
    tmp = Mount("/tmp", scratch("tmp"), writable=True)  # noqa: S108 - the pod's own volume
    return core.ContainerArgs(
        name=f"token-{name}",
        image=token.image,
        command=["/bin/sh", "-c", _LOOP, "token", *token.command],
        restart_policy="Always",
        env=variables(
            {
                "HOME": "/tmp",  # noqa: S108 - the pod's own volume
                "TOKEN_FILE": file,
                "REFRESH_SECONDS": str(token.refresh_seconds),
                **token.environment,
            }
        ),
        startup_probe=core.ProbeArgs(
            exec_=core.ExecActionArgs(command=["test", "-s", file]), period_seconds=2, failure_threshold=60
        ),
        resources=resources_of(Amounts(cpu="10m", memory="192Mi")),
        security_context=container_security(),
        volume_mounts=[mounted(Mount(mount.path, mount.volume, writable=True)), mounted(tmp)],
    )


def volume_of_login() -> Mount:
    """Return the login's Secret, which only the container that copies it sees."""
    from flyteform_platform.controlplane.names import LOGIN_SECRET

    return Mount("/etc/flyteform/login", secret_volume("login", LOGIN_SECRET), init=True)

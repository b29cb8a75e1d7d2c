"""`python -m flyteform_controlplane.release`: what is done once for a release, before its processes start.

It brings the schema up to date, and on Kubernetes makes the Secret with the login's keys, once, where there is none:
they exist in the cluster alone, and neither a person nor a provisioning tool ever holds them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import sys
import tempfile
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import click

from flyteform.errors import FlyteformError
from flyteform_controlplane.errors import UnavailableError
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.migrate import migrate
from flyteform_controlplane.store.seed import seed

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_SECONDS: Final = 30


@click.command()
@click.option("--database-url", "urls", multiple=True, envvar="FLYTEFORM_DATABASE_URL", required=True)
@click.option("--login-secret", default="", help="The Kubernetes Secret to make in this pod's namespace.")
@click.option("--public-url", default="", help="Where clients reach HTTP: the issuer of the login's tokens.")
def command(urls: tuple[str, ...], login_secret: str, public_url: str) -> None:
    """Migrate the databases; make the login's Secret if it is not there."""
    asyncio.run(_migrate(urls))
    if login_secret:
        made = make_secret(KubernetesSecrets(), login_secret, login_files(public_url))
        click.echo(f"the secret {login_secret} {'is made' if made else 'is there'}")


async def _migrate(urls: tuple[str, ...]) -> None:
    for url in urls:
        database = Database(url)
        try:
            await migrate(database)
            await seed(database)
        finally:
            await database.close()


def login_files(public_url: str) -> dict[str, bytes]:
    """Return new keys and a new client for users, as the files below `auth/` of a state directory."""
    from flyteform_controlplane.auth.authority import Authority
    from flyteform_controlplane.auth.clients import USER_CLIENT
    from flyteform_controlplane.auth.files import DIRECTORY

    with tempfile.TemporaryDirectory() as folder:
        Authority.open(Path(folder), public_url)
        # The client's name lies beside its secret: monitoring logs in with both.
        client = {f"{USER_CLIENT}.id": USER_CLIENT.encode()}
        return client | {each.name: each.read_bytes() for each in sorted((Path(folder) / DIRECTORY).glob("[!.]*"))}


class KubernetesSecrets:
    """The Secrets of this pod's namespace, as its service account may use them."""

    def __init__(self, account: Path = _ACCOUNT, address: str = "") -> None:
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        self._address = address or f"https://{f'[{host}]' if ':' in host else host}:{port}"
        self._token = (account / "token").read_text().strip()
        self._namespace = (account / "namespace").read_text().strip()
        self._trust = ssl.create_default_context(cafile=str(account / "ca.crt")) if not address else None

    def exists(self, name: str) -> bool:
        """Tell whether there is a Secret of this name."""
        return self._call("GET", f"/{name}", None) != HTTPStatus.NOT_FOUND

    def create(self, secret: dict[str, Any]) -> bool:
        """Make a Secret; False if another one was faster."""
        return self._call("POST", "", secret) != HTTPStatus.CONFLICT

    def _call(self, method: str, path: str, body: dict[str, Any] | None) -> int:
        request = urllib.request.Request(  # noqa: S310 - the API server's own address
            f"{self._address}/api/v1/namespaces/{self._namespace}/secrets{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS, context=self._trust) as answer:  # noqa: S310 - as above
                return int(answer.status)
        except urllib.error.HTTPError as error:
            if error.code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                return error.code
            raise UnavailableError(f"Kubernetes refused {method} of a secret: {error.code} {error.reason}") from error
        except OSError as error:
            raise UnavailableError(f"Kubernetes cannot be reached: {error}", remedy="try again") from error


def make_secret(secrets: KubernetesSecrets, name: str, files: dict[str, bytes]) -> bool:
    """Make the Secret unless there is one: keys that are in use are never replaced."""
    if secrets.exists(name):
        return False
    data = {key: base64.b64encode(content).decode() for key, content in files.items()}
    labels = {"app.kubernetes.io/part-of": "flyteform", "app.kubernetes.io/component": "login"}
    metadata = {"name": name, "labels": labels}
    return secrets.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data})


def main() -> int:
    """Run the command; 1 after any error, told in one or two lines."""
    try:
        command(standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"Error: {error.format_message()}", err=True)
        return 1
    except FlyteformError as error:
        click.echo(f"Error: {error.message}" + (f"\n  → {error.remedy}" if error.remedy else ""), err=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

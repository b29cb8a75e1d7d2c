"""Clients and their secrets in the state directory."""

from __future__ import annotations

import asyncio
import json
import stat
from typing import TYPE_CHECKING

import pytest

from flyteform.errors import InvalidInputError
from flyteform_controlplane.auth.authority import Authority
from flyteform_controlplane.auth.clients import open_clients
from flyteform_controlplane.auth.refusals import InvalidClientError, InvalidScopeError
from flyteform_controlplane.auth.secrets import KNOWN_DEFAULTS, SecretHash

if TYPE_CHECKING:
    from pathlib import Path

URL = "http://127.0.0.1:1"


def test_the_first_start_makes_everything_for_its_owner_alone(tmp_path: Path) -> None:
    """Keys, clients and secrets are files of mode 0600; the stored form holds no secret; a restart changes nothing."""
    Authority.open(tmp_path, URL, ["one"])
    directory = tmp_path / "auth"
    files = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert set(files) == {".lock", "clients.json", "dataplane-one.secret", "flyteform.secret", "signing-keys.json"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for name in ("dataplane-one", "flyteform"):
        assert len(files[f"{name}.secret"]) >= 43
        assert files[f"{name}.secret"] not in files["clients.json"]
    Authority.open(tmp_path, URL, ["one"])
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == files


async def test_replicas_that_start_together_agree(tmp_path: Path) -> None:
    """Two that make everything at the same time believe each other's tokens and the one secret that is there."""
    one, two = await asyncio.gather(*(asyncio.to_thread(Authority.open, tmp_path, URL) for _ in range(2)))
    secret = (tmp_path / "auth" / "flyteform.secret").read_text()
    for issuer, other in ((one, two), (two, one)):
        assert other.authenticate((await issuer.grant("flyteform", secret, [])).text).subject == "flyteform"


async def test_a_secret_may_be_moved_away(tmp_path: Path) -> None:
    """Only the hash is needed: with the secret's file gone the client still gets its tokens, and none is made anew."""
    Authority.open(tmp_path, URL)
    path = tmp_path / "auth" / "flyteform.secret"
    secret = path.read_text()
    path.unlink()
    authority = Authority.open(tmp_path, URL)
    token = await authority.grant("flyteform", secret, ["all", "offline"])
    assert authority.authenticate(token.text).subject == "flyteform"
    assert not path.exists()


async def test_other_secrets_and_clients_get_nothing(tmp_path: Path) -> None:
    """A wrong secret, an empty one, another client's and an unknown client are refused alike."""
    authority = Authority.open(tmp_path, URL, ["one"])
    secret = (tmp_path / "auth" / "flyteform.secret").read_text()
    for client, tried in (
        ("flyteform", secret + "x"),
        ("flyteform", ""),
        ("dataplane-one", secret),
        ("nobody", secret),
        ("", ""),
    ):
        with pytest.raises(InvalidClientError):
            await authority.grant(client, tried, [])
    with pytest.raises(InvalidScopeError):
        await authority.grant("flyteform", secret, ["admin"])


async def test_a_data_planes_token_is_for_its_cluster_whatever_it_asks_for(tmp_path: Path) -> None:
    """The client of a data plane gets the scope of data planes even if it asks for everything."""
    authority = Authority.open(tmp_path, URL, ["one"])
    secret = (tmp_path / "auth" / "dataplane-one.secret").read_text()
    token = await authority.grant("dataplane-one", secret, ["all"])
    principal = authority.authenticate(token.text)
    assert (principal.cluster, principal.scopes, token.scope) == ("one", {"dataplane"}, "dataplane")


@pytest.mark.parametrize("secret", [*sorted(KNOWN_DEFAULTS), "FooBar", "", "short", "a" * 64])
def test_defaults_and_weak_secrets_are_refused(tmp_path: Path, secret: str) -> None:
    """A secret that an operator put there and everybody knows, or can guess, stops the start; it is not repeated."""
    (tmp_path / "flyteform.secret").write_text(secret + "\n")
    with pytest.raises(InvalidInputError, match=r"flyteform\.secret: the secret is") as refused:
        open_clients(tmp_path, [])
    assert not secret or f" {secret} " not in f" {refused.value} {refused.value.remedy} ".replace("the secret is", "")
    assert not (tmp_path / "clients.json").exists()


def test_a_good_secret_of_the_operator_is_taken_over(tmp_path: Path) -> None:
    """A secret from elsewhere, as from a secret manager, is used as it is."""
    (tmp_path / "flyteform.secret").write_text("0123456789abcdefghijklmnopqrstuvwxyz\n")
    clients = open_clients(tmp_path, [])
    assert clients["flyteform"].secret.matches("0123456789abcdefghijklmnopqrstuvwxyz")


def test_no_hash_lets_a_known_default_in(tmp_path: Path) -> None:
    """Even a hash of Flyte's default secret, written into the file by hand, is worth nothing."""
    entry = {"id": "flyteform", "cluster": "", "secret": SecretHash.of("foobar").as_text()}
    (tmp_path / "clients.json").write_text(json.dumps({"clients": [entry]}))
    assert not open_clients(tmp_path, [])["flyteform"].secret.matches("foobar")


@pytest.mark.parametrize("name", ["clients.json", "signing-keys.json"])
def test_damaged_files_stop_the_start(tmp_path: Path, name: str) -> None:
    """A file that is not whole is named, its content is not shown, and nothing weaker takes its place."""
    Authority.open(tmp_path, URL)
    path = tmp_path / "auth" / name
    path.write_bytes(path.read_bytes()[:60] + b"}")
    with pytest.raises(InvalidInputError, match=name) as refused:
        Authority.open(tmp_path, URL)
    assert '"kty"' not in str(refused.value)
    assert path.read_bytes().endswith(b"}")


async def test_nothing_that_is_printed_shows_a_secret(tmp_path: Path) -> None:
    """Neither a client nor a token has its secret in its representation."""
    authority = Authority.open(tmp_path, URL)
    secret = (tmp_path / "auth" / "flyteform.secret").read_text()
    token = await authority.grant("flyteform", secret, [])
    shown = repr(token) + repr(open_clients(tmp_path / "auth", []))
    assert secret not in shown
    assert token.text not in shown


def test_keys_can_be_replaced_without_a_break(tmp_path: Path) -> None:
    """A new key in front signs from then on, while tokens of the former one are believed."""
    old = Authority.open(tmp_path, URL).cluster_token("one")
    path = tmp_path / "auth" / "signing-keys.json"
    former = json.loads(path.read_bytes())["keys"]
    path.unlink()
    Authority.open(tmp_path, URL)
    path.write_text(json.dumps({"keys": json.loads(path.read_bytes())["keys"] + former}))
    authority = Authority.open(tmp_path, URL)
    assert authority.authenticate(old.text).cluster == "one"
    assert authority.cluster_token("one").text.partition(".")[0] != old.text.partition(".")[0]
    published = authority.jwks()["keys"]
    assert len(published) == 2
    assert not any({"d", "p", "q"} & key.keys() for key in published)

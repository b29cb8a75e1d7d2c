"""Logging in to a platform that asks for it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from flyteform.client.admin import connect
from flyteform.client.auth import ClientSecretAuthenticator, Token, run_command
from flyteform.client.channel import open_channel
from flyteform.client.config import ClientConfig, ConnectionOptions, resolve
from flyteform.client.errors import AccessDeniedError, ConfigurationError
from flyteform.client.login import ClientSecretLogin, CommandLogin
from support.login import Guarded, guarded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

PROJECT = "flytesnacks"


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Guarded]:
    """Give a control plane with login."""
    async with guarded(tmp_path / "state") as running:
        yield running


def config(platform: Guarded, login: ClientSecretLogin | CommandLogin | None, **more: object) -> ClientConfig:
    """Say where the platform is and how to log in."""
    return ClientConfig(platform.addresses.grpc, insecure=True, login=login, source="the test", **more)  # type: ignore[arg-type]


def by_secret(platform: Guarded) -> ClientSecretLogin:
    """Log in with the secret in its file."""
    return ClientSecretLogin("flyteform", platform.state_dir / "auth" / "flyteform.secret")


def printing(text: str, marks: Path | None = None) -> CommandLogin:
    """Log in with a command that prints this, and leaves a mark each time."""
    mark = f"open({str(marks)!r}, 'a').write('x')" if marks is not None else "pass"
    return CommandLogin((sys.executable, "-c", f"{mark}; print({text!r})"))


async def test_many_calls_share_one_login(platform: Guarded, tmp_path: Path) -> None:
    """Calls that are refused at the same time fetch one token together and all go through."""
    login = printing(platform.token(), tmp_path / "marks")
    async with connect(config(platform, login)) as client:
        projects = await asyncio.gather(*(client.get_project(PROJECT) for _ in range(10)))
        await client.get_project(PROJECT)
    assert {project.id for project in projects} == {PROJECT}
    assert (tmp_path / "marks").read_text() == "x"


async def test_a_token_is_replaced_when_the_platform_refuses_it(platform: Guarded, tmp_path: Path) -> None:
    """A token that has expired is fetched anew, once; one that never fits is an error and no endless loop."""
    expired = platform.token(exp=int(time.time()) - 1)
    (tmp_path / "token").write_text(expired)
    code = f"import pathlib; p = pathlib.Path({str(tmp_path / 'token')!r}); print(p.read_text())"
    async with connect(config(platform, CommandLogin((sys.executable, "-c", code)))) as client:
        with pytest.raises(AccessDeniedError, match="expired") as refused:
            await client.get_project(PROJECT)
        assert expired not in str(refused.value)
        (tmp_path / "token").write_text(platform.token())
        assert (await client.get_project(PROJECT)).id == PROJECT


async def test_a_secret_gets_tokens_that_are_renewed_before_they_end(platform: Guarded) -> None:
    """The next call after a token has come close to its end goes out with another."""
    settings = config(platform, by_secret(platform))
    channel = await open_channel(settings)
    authenticator = ClientSecretAuthenticator(settings, by_secret(platform), channel)
    assert await authenticator.metadata() == ()
    assert await authenticator.refused(())
    first = await authenticator.metadata()
    assert first[0][0] == "flyte-authorization"
    assert await authenticator.metadata() == first
    authenticator._token = Token(first[0][1], time.monotonic() + 10)  # noqa: SLF001 - time that nobody waits for
    assert await authenticator.metadata() != first
    await channel.close()


async def test_a_secret_may_be_in_the_environment(platform: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable that the configuration names holds it."""
    monkeypatch.setenv("MY_SECRET", platform.secret())
    login = ClientSecretLogin("flyteform", secret_variable="MY_SECRET")  # noqa: S106 - the name of a variable
    async with connect(config(platform, login)) as client:
        assert (await client.get_project(PROJECT)).id == PROJECT
        monkeypatch.delenv("MY_SECRET")
    async with connect(config(platform, login)) as client:
        with pytest.raises(AccessDeniedError, match="MY_SECRET is not set"):
            await client.get_project(PROJECT)


async def test_a_proxy_gets_a_token_of_its_own(platform: Guarded) -> None:
    """The proxy's token goes beside the platform's, from the first call on."""
    command = (sys.executable, "-c", "print('for-the-proxy')")
    async with connect(config(platform, by_secret(platform), proxy_command=command)) as client:
        assert (await client.get_project(PROJECT)).id == PROJECT


async def test_missing_and_wrong_secrets_are_told_without_being_shown(platform: Guarded, tmp_path: Path) -> None:
    """A secret that is not there, and one that is another, are errors that name the place and not the content."""
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong-secret-in-here")
    for path, reason in ((tmp_path / "nowhere", "cannot read"), (wrong, "no client with this id and secret")):
        async with connect(config(platform, ClientSecretLogin("flyteform", path))) as client:
            with pytest.raises(AccessDeniedError, match=reason) as refused:
                await client.get_project(PROJECT)
        assert "clientSecretLocation" in str(refused.value.remedy)
        assert "wrong-secret-in-here" not in f"{refused.value} {refused.value.remedy}"


async def test_a_secret_is_not_sent_in_clear_text_behind_tls(platform: Guarded) -> None:
    """A platform that is reached by TLS and names a token endpoint without it does not get the secret."""
    settings = config(platform, by_secret(platform))
    channel = await open_channel(settings)
    encrypted = ClientConfig(settings.endpoint, insecure=False, login=settings.login)
    authenticator = ClientSecretAuthenticator(encrypted, by_secret(platform), channel)
    with pytest.raises(AccessDeniedError, match="not encrypted"):
        await authenticator.refused(())
    await channel.close()


async def test_without_a_login_the_answer_says_what_to_write(platform: Guarded) -> None:
    """A client that cannot log in is told how that is configured."""
    async with connect(config(platform, None)) as client:
        with pytest.raises(AccessDeniedError, match="asks for a login") as refused:
            await client.get_project(PROJECT)
    assert "admin.authType" in str(refused.value.remedy)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("/no/such/command",), "cannot be started"),
        ((sys.executable, "-c", "print('a-token'); raise SystemExit(3)"), "exit code 3"),
        ((sys.executable, "-c", ""), "printed no token"),
    ],
)
async def test_a_command_that_fails_is_told(command: tuple[str, ...], reason: str) -> None:
    """The command is named with how it failed; what it printed may be a token and is not shown."""
    with pytest.raises(AccessDeniedError, match=reason) as refused:
        await run_command(command)
    assert "a-token" not in str(refused.value)


def write_config(home: Path, admin: Mapping[str, object]) -> None:
    """Write Flyte's configuration; YAML knows JSON."""
    (home / ".flyte").mkdir()
    document = {"admin": {"endpoint": "dns:///127.0.0.1:1", "insecure": True, **admin}}
    (home / ".flyte" / "config.yaml").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("admin", "login"),
    [
        ({"authType": "Pkce"}, None),
        ({}, None),
        (
            {"authType": "ClientSecret", "clientId": "c", "clientSecretLocation": "/s", "scopes": ["all"]},
            ("c", "/s", "", ("all",)),
        ),
        (
            {"authType": "clientSecret", "clientId": "c", "clientSecretEnvVar": "V", "scopes": "a, b"},
            ("c", None, "V", ("a", "b")),
        ),
        ({"authType": "ExternalCommand", "command": ["get", "token"]}, ("get", "token")),
        ({"authType": "ExternalCommand", "command": "get 'my token'"}, ("get", "my token")),
        ({"authType": "ExternalCommand", "proxyCommand": ["get"]}, ("get",)),
    ],
)
def test_the_login_is_read_from_flytes_configuration(tmp_path: Path, admin: dict[str, object], login: object) -> None:
    """The names and forms are those that flytekit and flytectl take."""
    write_config(tmp_path, admin)
    found = resolve(ConnectionOptions(), {}, tmp_path).login
    match found:
        case ClientSecretLogin():
            path = os.fspath(found.secret_file) if found.secret_file is not None else None
            assert (found.client_id, path, found.secret_variable, found.scopes) == login
        case CommandLogin():
            assert found.command == login
        case None:
            assert login is None


@pytest.mark.parametrize(
    ("admin", "missing"),
    [
        ({"authType": "Magic"}, "Magic"),
        ({"authType": "ClientSecret", "clientSecretLocation": "/s"}, "clientId"),
        ({"authType": "ClientSecret", "clientId": "c"}, "clientSecretLocation"),
        ({"authType": "ExternalCommand"}, "command"),
    ],
)
def test_an_incomplete_login_is_named(tmp_path: Path, admin: dict[str, object], missing: str) -> None:
    """What is missing or unknown is named with the file."""
    write_config(tmp_path, admin)
    with pytest.raises(ConfigurationError, match=missing) as refused:
        resolve(ConnectionOptions(), {}, tmp_path)
    assert "config.yaml" in str(refused.value)


def test_a_login_goes_to_its_own_platform_only(tmp_path: Path) -> None:
    """An endpoint from elsewhere than the file does not get the file's secret."""
    write_config(tmp_path, {"authType": "ClientSecret", "clientId": "c", "clientSecretLocation": "/s"})
    assert resolve(ConnectionOptions(), {}, tmp_path).login is not None
    assert resolve(ConnectionOptions(endpoint="other.example:80"), {}, tmp_path).login is None
    assert resolve(ConnectionOptions(), {"FLYTEFORM_ENDPOINT": "other.example:80"}, tmp_path).login is None


def test_a_local_platform_tells_where_its_secret_is(tmp_path: Path) -> None:
    """What a running local platform wrote about itself is enough to log in."""
    state = tmp_path / ".local" / "state" / "flyteform"
    state.mkdir(parents=True)
    secret = tmp_path / "s"
    document = {"grpc": "127.0.0.1:1", "http": "http://127.0.0.1:2", "pid": os.getpid()}
    login = {"client_id": "flyteform", "client_secret_file": str(secret)}
    (state / "platform.json").write_text(json.dumps({**document, **login}))
    assert resolve(ConnectionOptions(), {}, tmp_path).login == ClientSecretLogin("flyteform", secret)
    (state / "platform.json").write_text(json.dumps({**document, "client_id": "", "client_secret_file": ""}))
    assert resolve(ConnectionOptions(), {}, tmp_path).login is None

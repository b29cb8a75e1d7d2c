"""Options that the commands which talk to a platform share."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteform.provision.model import Plan


def connection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--endpoint`, `--insecure/--secure`, `--project` and `--domain`; the command gets them as `connection`."""

    @wraps(function)
    def with_connection(
        *args: Any,
        endpoint: str | None,
        insecure: bool | None,
        project: str | None,
        domain: str | None,
        **kwargs: Any,
    ) -> Any:
        from flyteform.client.config import ConnectionOptions

        return function(*args, connection=ConnectionOptions(endpoint, insecure, project, domain), **kwargs)

    decorated: Callable[..., Any] = with_connection
    for option in reversed(_CONNECTION):
        decorated = option(decorated)
    return decorated


_CONNECTION = (
    click.option(
        "--endpoint",
        metavar="HOST:PORT",
        help="gRPC address of the platform.  [default: FLYTEFORM_ENDPOINT, ~/.flyte/config.yaml, a local platform]",
    ),
    click.option(
        "--insecure/--secure",
        default=None,
        help="Plain text or TLS.  [default: plain text on loopback addresses only]",
    ),
    click.option("-p", "--project", help="Project of what names none.  [default: flytesnacks]"),
    click.option("-d", "--domain", help="Domain of what names none.  [default: development]"),
)

path_argument = click.argument("path", type=click.Path(exists=True, path_type=Path))

image_option = click.option(
    "--image",
    envvar="FLYTEFORM_IMAGE",
    help="Container image of tasks that name none.  [default: FLYTEFORM_IMAGE, flyteform/task]",
)

state_option = click.option(
    "--state",
    "state_location",
    envvar="FLYTEFORM_STATE",
    metavar="FILE|URL",
    help="What records what is owned: a file, s3://, gs://, az://BUCKET/NAME.json or flyteform://PROJECT/DOMAIN/NAME.  "
    "[default: .flyteform/ beside the declaration]",
)


class Duration(click.ParamType[float]):
    """A time as `30s`, `10m`, `1h` or a number of seconds; the value is in seconds."""

    name = "duration"
    _UNITS: ClassVar = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds, or fail with what was expected."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no time such as 30s, 10m or 1h", param, ctx)
        return float(found[1]) * self._UNITS[found[2]]


@dataclass(frozen=True, slots=True)
class Judgement:
    """By what a plan is judged: policies, by file or module, and whether callers may break."""

    policies: tuple[str, ...] = ()
    allow_breaking: bool = False

    def judge(self, plan: Plan) -> Plan:
        """Return the plan with what the policies say; a saved plan keeps what it was judged by before."""
        from flyteform.provision.policy import judge_by
        from flyteform.provision.policy_loading import load_policies

        judged = judge_by(plan, load_policies(self.policies)) if self.policies else plan
        return replace(judged, allow_breaking=plan.allow_breaking or self.allow_breaking)


def judgement_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--policy` and `--allow-breaking`; the command gets them as `judgement`."""

    @wraps(function)
    def with_judgement(*args: Any, policies: tuple[str, ...], allow_breaking: bool, **kwargs: Any) -> Any:
        return function(*args, judgement=Judgement(policies, allow_breaking), **kwargs)

    decorated: Callable[..., Any] = with_judgement
    for option in reversed(_JUDGEMENT):
        decorated = option(decorated)
    return decorated


_JUDGEMENT = (
    click.option(
        "--policy",
        "policies",
        multiple=True,
        envvar="FLYTEFORM_POLICY",
        metavar="FILE|MODULE",
        help="Python checks over the plan; repeatable.  [default: FLYTEFORM_POLICY]",
    ),
    click.option("--allow-breaking", is_flag=True, help="Apply interface changes that break callers."),
)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a person wants a plan applied; `lock_timeout` is in seconds."""

    approved: bool = False
    parallelism: int = 16
    lock_timeout: float = 0.0
    judgement: Judgement = field(default_factory=Judgement)


def apply_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of all commands that write to the platform; the command gets them as `manner`."""

    @wraps(function)
    def with_manner(
        *args: Any, approved: bool, parallelism: int, lock_timeout: float, judgement: Judgement, **kwargs: Any
    ) -> Any:
        return function(*args, manner=Manner(approved, parallelism, lock_timeout, judgement), **kwargs)

    decorated: Callable[..., Any] = judgement_options(with_manner)
    for option in reversed(_APPLY):
        decorated = option(decorated)
    return decorated


approve_option = click.option(
    "-y", "--auto-approve", "approved", is_flag=True, help="Do not ask before writing to the platform."
)

_APPLY = (
    approve_option,
    click.option("--parallelism", type=click.IntRange(1, 256), default=16, show_default=True, help="Steps at a time."),
    click.option(
        "--lock-timeout",
        type=Duration(),
        default="0s",
        show_default=True,
        help="How long to wait for another apply of the same state.",
    ),
)

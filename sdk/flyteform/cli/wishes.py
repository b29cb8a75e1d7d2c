"""What a plan is to be about: the options of all commands that make one."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flyteform.cli.options import image_option

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flyteform.client.admin import AdminClient
    from flyteform.provision.model import Plan
    from flyteform.provision.ports import StateStore


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants a plan of; `variables` by name, the last one given wins."""

    image: str | None = None
    targets: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    refresh_only: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)

    async def plan(self, path: Path, client: AdminClient, store: StateStore, *, destroy: bool = False) -> Plan:
        """Make the plan."""
        from flyteform.provision.provisioner import make_plan
        from flyteform.provision.selection import Selection

        return await make_plan(
            path,
            client,
            store,
            image=self.image,
            destroy=destroy,
            selection=Selection(self.targets, self.excludes),
            refresh_only=self.refresh_only,
            variables=self.variables,
        )


def wish_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of all commands that make a plan; the command gets them as `wish`."""

    @wraps(function)
    def with_wish(
        *args: Any,
        targets: tuple[str, ...],
        excludes: tuple[str, ...],
        variables: tuple[str, ...],
        variable_files: tuple[Path, ...],
        image: str | None = None,
        refresh_only: bool = False,
        **kwargs: Any,
    ) -> Any:
        told = _variables(variables, variable_files)
        return function(*args, wish=Wish(image, targets, excludes, refresh_only, told), **kwargs)

    decorated: Callable[..., Any] = with_wish
    for option in reversed(_WISH):
        decorated = option(decorated)
    return decorated


def _variables(given: tuple[str, ...], files: tuple[Path, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    if files:
        from flyteform.provision.variables import read_variables

        for file in files:
            found |= read_variables(file)
    for each in given:
        name, equals, text = each.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{each!r} is not NAME=VALUE", param_hint="--var")
        found[name.strip()] = text
    return found


_WISH = (
    image_option,
    click.option(
        "--target",
        "targets",
        metavar="ADDRESS",
        multiple=True,
        help="Only this and what it needs: a name, KIND:NAME or PROJECT/DOMAIN/NAME, with wildcards; repeatable.",
    ),
    click.option(
        "--exclude",
        "excludes",
        metavar="ADDRESS",
        multiple=True,
        help="Not this and what needs it; written like --target; repeatable.",
    ),
    click.option(
        "--var",
        "variables",
        metavar="NAME=VALUE",
        multiple=True,
        help="A variable that the declaration asks for; also as FLYTEFORM_VAR_NAME; repeatable.",
    ),
    click.option(
        "--var-file",
        "variable_files",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        multiple=True,
        help="Variables as lines NAME=VALUE; repeatable, later files win.",
    ),
)

refresh_option = click.option(
    "--refresh-only", is_flag=True, help="Change nothing on the platform: the state takes over what that has."
)

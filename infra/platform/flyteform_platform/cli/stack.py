"""`flyteform stack new`: the files of a new environment, from those that are shipped and a few answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from flyteform.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

PRESETS: Final = ("dev", "staging", "prod")
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,30}[a-z0-9]").fullmatch
_DOMAIN: Final = re.compile(r"([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)+[a-z]{2,}").fullmatch
# What is answered in a template: not all have both.
_NAMED: Final = re.compile(r"^    name: \S+", re.MULTILINE)
_HOST: Final = re.compile(r"(\bdomain: )[a-z0-9-]+(\.[a-z0-9-]+)+")
_SECRET: Final = re.compile(r"^  (?P<project>[a-z-]+):(?P<key>\w+):\n    secure: ", re.MULTILINE)
_QUESTIONS: Final = (
    ("name", _NAMED, "What do names of its resources begin with"),
    ("domain", _HOST, "Which host name do callers use"),
)


@dataclass(frozen=True, slots=True)
class Answers:
    """What an environment is told apart by. `organization` is Pulumi's, `environment` begins its stacks' names."""

    cloud: str
    environment: str
    preset: str
    name: str = ""
    domain: str = ""
    organization: str = "organization"

    def __post_init__(self) -> None:
        """Refuse what the programs would refuse."""
        if self.name and not _NAME(self.name):
            raise InvalidInputError(f"{self.name!r} is no name", remedy="use lower case letters, digits and '-'")
        if not _NAME(self.environment):
            raise InvalidInputError(f"{self.environment!r} is no environment", remedy="write for example team-a")
        if self.domain and not _DOMAIN(self.domain):
            raise InvalidInputError(f"{self.domain!r} is no host name", remedy="write for example flyte.example.org")


@click.group(short_help="Make the files of a platform's stacks.")
def stack() -> None:
    """Make the files of a platform's stacks."""


@stack.command()
@click.argument("cloud")
@click.argument("environment")
@click.option("--preset", type=click.Choice(PRESETS), prompt="How much must it bear", default="dev", show_default=True)
@click.option("--name", default="", help="What names of its resources begin with; asked for where there are any.")
@click.option("--domain", default="", help="The host name that callers use; asked for where there is one.")
@click.option("--organization", default="organization", show_default=True, help="Pulumi's, for stacks that are joined.")
@click.option(
    "--stacks",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("stacks"),
    show_default=True,
    help="The folder with a folder for each cloud.",
)
def new(stacks: Path, **given: str) -> None:
    """Write a new ENVIRONMENT of a CLOUD (or `local`, this machine); nothing that is there is overwritten."""
    folder = stacks / given["cloud"]
    texts = [each.read_text() for each in _templates(folder, given["preset"])]
    for option, place, question in _QUESTIONS:
        if not given[option] and any(map(place.search, texts)):
            given[option] = click.prompt(question)
    answers = Answers(**given)
    for path, text in files(folder, answers).items():
        path.write_text(text)
        click.echo(f"{path}: look through it, then in infra/{answers.cloud}:")
        for command in commands(path.name[7:-5], text):
            click.echo(f"  {command}")


def files(folder: Path, answers: Answers) -> dict[Path, str]:
    """Return the new files' texts; `InvalidInputError` if there is no such cloud or a file is there already."""
    templates = _templates(folder, answers.preset)
    if not templates:
        known = ", ".join(sorted(each.name for each in folder.parent.glob("*") if each.is_dir())) or "none"
        raise InvalidInputError(f"there is no {answers.preset} of {answers.cloud} in {folder}", remedy=f"use {known}")
    found = {}
    for template in templates:
        rest = template.name.removeprefix(f"Pulumi.{answers.preset}")
        path = template.with_name(f"Pulumi.{answers.environment}{rest}")
        if path.exists():
            raise InvalidInputError(f"{path} is there already", remedy="choose another environment, or delete it")
        found[path] = _answered(template.read_text(), answers)
    return found


def _templates(folder: Path, preset: str) -> list[Path]:
    return sorted([*folder.glob(f"Pulumi.{preset}.yaml"), *folder.glob(f"Pulumi.{preset}-*.yaml")])


def commands(name: str, text: str) -> Iterator[str]:
    """Yield what a person does next: secrets are theirs to set, encrypted by their own key."""
    yield f"pulumi stack init {name}"
    for found in _SECRET.finditer(text):
        yield f"pulumi config set --secret {found['project']}:{found['key']} --stack {name}"
    yield f"pulumi up --stack {name}"


def _answered(text: str, answers: Answers) -> str:
    """Put the answers into a template; its comments stay."""
    for option, place, question in _QUESTIONS:
        if place.search(text) and not getattr(answers, option):
            raise InvalidInputError(f"{question}?", remedy=f"say it with --{option}")
    text = _NAMED.sub(f"    name: {answers.name}", text, count=1)
    text = _HOST.sub(rf"\g<1>{answers.domain}", text, count=1)
    # A data plane whose control plane is in another cloud is an example: a new environment is all in one.
    joined = rf"\b[\w-]+/flyteform-[a-z]+/{answers.preset}\b"
    return re.sub(joined, f"{answers.organization}/flyteform-{answers.cloud}/{answers.environment}", text)

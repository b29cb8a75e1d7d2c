"""`flyteform stack new`: files that the programs take, with the answers in them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner

from flyteform.errors import InvalidInputError
from flyteform_platform.cli.stack import Answers, commands, files, stack
from support.recording.stacks import ROOT, stack_of

if TYPE_CHECKING:
    from pathlib import Path

    from support.recording.stacks import Recordings

ANSWERS = Answers("onprem", "team-a", "prod", "flyte-a", "flyte.a.example.com", "acme")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the stacks that are shipped."""
    shutil.copytree(ROOT / "stacks" / "onprem", tmp_path / "stacks" / "onprem")
    return tmp_path / "stacks"


def test_production(folder: Path) -> None:
    """Production is several files that name one another, with the answers and the comments."""
    made = {path.name: text for path, text in files(folder / "onprem", ANSWERS).items()}
    assert set(made) == {f"Pulumi.team-a-{each}.yaml" for each in ("platform", "controlplane", "dataplane-main")}
    for text in made.values():
        document = yaml.safe_load(text)["config"]["flyteform-onprem:platform"]
        assert (document["name"], document["edge"]["domain"]) == ("flyte-a", "flyte.a.example.com")
        assert text.startswith("# Production")
    joined = yaml.safe_load(made["Pulumi.team-a-controlplane.yaml"])["config"]["flyteform-onprem:platform"]["stacks"]
    assert joined == {"base": "acme/flyteform-onprem/team-a-platform"}


def test_this_machine(tmp_path: Path) -> None:
    """A stack on this machine has neither names nor a host to ask for, and what it declares stays as it is."""
    shutil.copytree(ROOT / "stacks" / "local", tmp_path / "local")
    words = ["new", "local", "mine", "--preset", "dev", "--stacks", str(tmp_path)]
    done = CliRunner().invoke(stack, words, input="")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "local" / "Pulumi.mine.yaml").read_text() == (tmp_path / "local" / "Pulumi.dev.yaml").read_text()
    assert "pulumi up --stack mine" in done.output


def test_command(folder: Path) -> None:
    """The command asks what it was not told, writes the file, and says what to do next."""
    words = ["new", "onprem", "team-a", "--stacks", str(folder)]
    done = CliRunner().invoke(stack, words, input="dev\nflyte-a\nflyte.a.example.com\n")
    assert done.exit_code == 0, done.output
    assert (folder / "onprem" / "Pulumi.team-a.yaml").is_file()
    assert "pulumi config set --secret flyteform-onprem:kubeconfig --stack team-a" in done.output
    again = CliRunner().invoke(stack, [*words, "--preset=dev", "--name=flyte-a", "--domain=flyte.a.example.com"])
    assert isinstance(again.exception, InvalidInputError)
    assert "is there already" in again.exception.message


def test_program_takes_it(folder: Path, recordings: Recordings) -> None:
    """What was written is a stack that the unmodified program runs."""
    path, text = next(iter(files(folder / "onprem", replace(ANSWERS, preset="dev")).items()))
    path.write_text(text)
    assert list(commands("team-a", text))[-1] == "pulumi up --stack team-a"
    made = replace(stack_of("onprem", "dev"), name="team-a", file=path)
    graph = recordings.record(made, "stack-new").check()
    assert graph.one("Gateway").at("spec.listeners[1].hostname") == "flyte.a.example.com"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"name": "A b"}, "no name"), ({"domain": "x"}, "no host name"), ({"environment": "../x"}, "no environment")],
)
def test_wrong_answers(wrong: dict[str, str], told: str) -> None:
    """What the programs would refuse is refused at once."""
    with pytest.raises(InvalidInputError, match=told):
        replace(ANSWERS, **wrong)


def test_unknown_cloud(folder: Path) -> None:
    """A cloud that there is none of is told with those that there are."""
    with pytest.raises(InvalidInputError, match="there is no prod of mars"):
        files(folder / "mars", replace(ANSWERS, cloud="mars"))

"""Variables of a declaration: where their values come from, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from flyteform.errors import DefinitionError, InvalidInputError
from flyteform.provision import variables
from flyteform.provision.desired import Target, declare
from flyteform.provision.variables import given, read_variables

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Environment:
    """What an example declaration asks for."""

    team: str
    replicas: int = 1
    fast: bool = False
    regions: list[str] = field(default_factory=list)


def test_values_are_typed_and_the_nearest_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command gives goes before the environment, that before the default, each as the field's type."""
    monkeypatch.setenv("FLYTEFORM_VAR_REPLICAS", "2")
    monkeypatch.setenv("FLYTEFORM_VAR_TEAM", "theirs")
    with given({"team": "ours", "fast": "true", "regions": '["a", "b"]'}):
        assert variables(Environment) == Environment("ours", 2, True, ["a", "b"])


def test_what_is_missing_or_wrong_is_named_without_its_value() -> None:
    """A field without a value, and a value of another type, are clear errors; the value stays unsaid."""
    with pytest.raises(DefinitionError, match="no value is given for: team"):
        variables(Environment)
    with given({"team": "a", "replicas": "hunter2"}), pytest.raises(DefinitionError) as refused:
        variables(Environment)
    assert "replicas is no int" in refused.value.message
    assert "hunter2" not in refused.value.message
    with pytest.raises(DefinitionError, match="takes a dataclass"):
        variables(dict)


def test_a_name_that_nobody_asks_for_is_refused(tmp_path: Path) -> None:
    """A misspelled --var is an error that lists what the declaration asks for."""
    module = tmp_path / "declared.py"
    module.write_text(
        "from dataclasses import dataclass\nfrom flyteform.provision import Project, variables\n\n"
        "@dataclass\nclass Env:\n    team: str\n\nProject(f'team-{variables(Env).team}')\n"
    )
    target = Target("flytesnacks", "development")
    assert [each.id for each in declare(module, target, {"team": "a"}).projects] == ["team-a"]
    with pytest.raises(InvalidInputError, match="no variable is called 'tema'") as refused:
        declare(module, target, {"team": "a", "tema": "b"})
    assert refused.value.remedy == "the declaration asks for: team"


def test_files_hold_a_value_a_line(tmp_path: Path) -> None:
    """Quotes, comments, `export` and spaces are read as shells would; another line is named."""
    file = tmp_path / "prod.env"
    file.write_text("# production\nteam = a # the best\nexport fast=true\nname='a # b'\nempty=\n\n")
    assert read_variables(file) == {"team": "a", "fast": "true", "name": "a # b", "empty": ""}
    file.write_text("team=a\nnonsense\n")
    with pytest.raises(InvalidInputError, match=r"prod\.env:2: this is no variable"):
        read_variables(file)

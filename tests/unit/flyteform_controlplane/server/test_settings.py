"""What an operator may decide about the database and the scheduler of a control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flyteform.errors import InvalidInputError
from flyteform_controlplane.settings import ControlPlaneSettings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("wrong", [{"catch_up": -1}, {"database_connections": 2}])
def test_number_that_makes_no_sense_is_refused_with_its_flag(tmp_path: Path, wrong: dict[str, Any]) -> None:
    """The refusal names the flag and what would do."""
    (name,) = wrong
    with pytest.raises(InvalidInputError, match=f"--{name.replace('_', '-')}") as refusal:
        ControlPlaneSettings(state_dir=tmp_path, **wrong)
    assert refusal.value.remedy is not None


def test_database_is_a_file_of_the_state_directory_unless_one_is_given(tmp_path: Path) -> None:
    """SQLite without a word; any URL that is given stays as it is."""
    assert ControlPlaneSettings(state_dir=tmp_path).database_url.endswith(f"{tmp_path}/control.db")
    url = "postgresql://flyteform@db/flyteform"
    given = ControlPlaneSettings(state_dir=tmp_path, database_url=url)
    assert (given.database_url, given.catalog_database_url) == (url, url)
    catalog = "postgresql://catalog@db/catalog"
    given = ControlPlaneSettings(state_dir=tmp_path, database_url=url, catalog_database_url=catalog)
    assert (given.database_url, given.catalog_database_url) == (url, catalog)

"""`flyteform dev` hands deadlines on to the data plane that it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from flyteform_dataplane.engine.graph import Deadlines
from flyteform_dataplane.settings import parse
from flyteform_local import serve
from flyteform_local.cli.dev import dev
from flyteform_local.dataplane import DataPlaneProcess

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform_local.platform import PlatformOptions


def test_options_of_dev_reach_the_data_plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given on the command line is what the data plane's own command line says; what is not has no limit."""
    told: list[PlatformOptions] = []
    monkeypatch.setattr(serve, "serve", told.append)
    ended = CliRunner().invoke(
        dev, [f"--state-dir={tmp_path}", "--attempt-deadline=1.5", "--workflow-deadline=1m", "--queue-deadline=9"]
    )
    assert ended.exit_code == 0, ended.output
    assert told[0].deadlines == Deadlines(attempt=1.5, node=0.0, workflow=60.0, queue=9.0)
    process = DataPlaneProcess(
        tmp_path, control_plane="127.0.0.1:1", objects="file:///o", images=(), deadlines=told[0].deadlines
    )
    assert parse(process.arguments).deadlines == told[0].deadlines


@pytest.mark.parametrize("value", ["-1", "inf", "nan", "soon"])
def test_what_is_no_time_is_refused(value: str) -> None:
    """One message names the option."""
    ended = CliRunner().invoke(dev, [f"--node-deadline={value}"])
    assert ended.exit_code != 0
    assert "--node-deadline" in ended.output

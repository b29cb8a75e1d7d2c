"""The demo as a newcomer runs it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from support.platform import FLYTEFORM, clean_environment

if TYPE_CHECKING:
    from pathlib import Path


def test_the_demo_tells_its_whole_story(tmp_path: Path) -> None:
    """Plan, apply, an empty second plan, a run on real data, a second run from the cache, outputs, exit code 0."""
    done = subprocess.run(
        [FLYTEFORM, "demo", "--once", f"--state-dir={tmp_path / 'state'}"],
        env=clean_environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    story = done.stdout
    assert "Traceback" not in done.stderr
    assert "+ project wine" in story
    assert "* * * * *" in story
    assert story.index("Applied: ") < story.index("No changes: ") < story.index("'test_accuracy': ")
    assert story.count("'test_accuracy': ") == 2
    assert story.count("4 of 4 items") >= 2
    assert "from the cache: load" in story

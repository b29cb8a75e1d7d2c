"""A cached task that only one execution may compute at a time, and that takes as long as a test wants."""

from __future__ import annotations

import time
from pathlib import Path

from flyteform import task, workflow


@task(cache=True, cache_version="1", cache_serialize=True, cache_ignore_input_vars=("who",))
def compute(folder: str, who: str) -> str:
    """Leave a mark, and wait for the file `go`."""
    with (Path(folder) / "computed").open("a") as marks:
        marks.write(f"{who}\n")
    while not (Path(folder) / "go").exists():
        time.sleep(0.02)
    return who


@workflow
def expensive(folder: str, who: str) -> str:
    """Compute, or take what another has computed."""
    return compute(folder=folder, who=who)

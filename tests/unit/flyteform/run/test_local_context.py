"""What a task that runs on this machine, outside of any attempt, knows of itself."""

from __future__ import annotations

import subprocess
import sys

LOCAL = """
import flyteform as fl

@fl.task
def one(x: int) -> str:
    context = fl.current_context()
    assert context.checkpoint.read() is None
    context.checkpoint.write(b"mine")
    return f"{context.task} {context.index} {context.checkpoint.read().decode()}"

@fl.task
def two(x: int) -> str:
    fl.current_context().checkpoint.write(b"outer")
    return f"{one(x=x)} {fl.current_context().checkpoint.read().decode()}"

@fl.workflow
def all(xs: list[int]) -> list[str]:
    return fl.map_task(one)(x=xs)

print(two(x=1), all(xs=[1, 2]), sep="\\n")
"""


def test_a_task_on_this_machine_has_a_context_of_its_own() -> None:
    """Outside of an attempt nothing is stored, and no task sees what another has written."""
    done = subprocess.run([sys.executable, "-c", LOCAL], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "__main__.one None mine outer",
        "['__main__.one 0 mine', '__main__.one 1 mine']",
    ]

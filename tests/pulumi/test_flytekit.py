"""flytekit's own definitions as Pulumi resources: in flytekit's environment, which has no Pulumi."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from support.stock import programs

SDK = Path(__file__).parents[2] / "sdk"
DEFINITIONS = """from flytekit import Resources, task, workflow


@task(requests=Resources(cpu="1"))
def first(x: int) -> int:
    return x


@workflow
def both(x: int = 1) -> int:
    return first(x=first(x=x))
"""
COMPARE = """import json
from flyteform import provision
from flyteform.provision.desired import Target, desired_of
from flyteform.provision.model import Address
from flyteform.pulumi.declaring import parts_of
from flyteform.pulumi.specs import Content, entity_of
from definitions import both

wanted = desired_of((provision.Workflow(both),), Target("acme", "development", "image:1")).entities
versions, compared = {}, 0
for part, entity in zip(parts_of(provision.Workflow(both), "image:1"), wanted, strict=True):
    given = json.loads(json.dumps(dict(part.properties)))
    active = given.pop("active", None)
    content = Content(**given, calls={key: versions[key] for key in part.calls})
    made = entity_of(Address(part.kind, "acme", "development", part.name), content, active=active)
    assert (made.address, made.version, made.spec) == (entity.address, entity.version, entity.spec)
    versions[f"{part.kind.value}:{part.name}"] = made.version
    compared += 1
print(compared)
"""


def test_flytekits_definitions_keep_their_versions(tmp_path: Path) -> None:
    """What goes through properties is, byte for byte and version for version, what the command registers."""
    (tmp_path / "definitions.py").write_text(DEFINITIONS)
    (tmp_path / "compare.py").write_text(COMPARE)
    environment = {"PYTHONPATH": f"{SDK}:{tmp_path}", "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [str(programs() / "python"), "compare.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("3\n", 0), done.stderr

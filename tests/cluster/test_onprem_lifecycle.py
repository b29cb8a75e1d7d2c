"""The same program without its pods: what the API server keeps of it, changes of it, and what is left after it."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import pytest

from support.kubernetes import get, kubectl
from support.onprem import PLATFORM_IMAGE, engine, left_behind, nowhere
from support.pulumi.manifests import KubernetesPlugin
from support.recording.stacks import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from support.pulumi.engine import Engine


def stack(folder: Path, image: str = PLATFORM_IMAGE) -> Engine:
    """Return a stack of infra/onprem's own program."""
    made = engine(folder, *nowhere(folder), program=ROOT / "infra" / "onprem", image=image)
    made.plugins = {"kubernetes": partial(KubernetesPlugin, pods=False)}
    return made


@pytest.mark.timeout(600)
async def test_lifecycle(tmp_path: Path) -> None:
    """A preview makes nothing; up makes it; up again changes nothing; another release is a new job; destroy ends it."""
    try:
        first = stack(tmp_path)
        previewed = (await first.preview()).check()
        assert left_behind() == []
        made = (await first.up()).check()
        assert made.operations() == previewed.operations()
        assert (await first.up()).check().operations() == {}
        deployment = get("deployment", "flyteform", "flyteform")
        assert deployment["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"]
        changed = stack(tmp_path, "localhost/platform:next")
        upgraded = (await changed.up()).check().steps
        assert sorted((each.operation, each.name) for each in upgraded if each.operation != "same") == [
            ("delete", "flyteform-release"),
            ("replace", "flyteform-release"),
            ("update", "flyteform"),
            ("update", "flyteform-dataplane"),
            ("update", "flyteform-dataplane-profile"),
        ]
        (await changed.destroy()).check()
        assert left_behind() == []
    finally:
        kubectl("delete", "namespaces", "--selector=app.kubernetes.io/part-of=flyteform", "--wait=false")


async def test_preflight(tmp_path: Path) -> None:
    """A cluster that lacks something is told so before anything is made."""
    made = stack(tmp_path)
    platform = json.loads(made.config["program:platform"])
    platform["addons"]["monitoring"] = {"enabled": False, "present": True}
    made.config["program:platform"] = json.dumps(platform)
    result = await made.preview()
    assert "addons.monitoring is present: true, and the cluster has no monitoring.coreos.com" in result.program
    assert left_behind() == []

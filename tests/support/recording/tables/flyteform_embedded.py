"""What a platform on this machine would have once it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]


def _platform(_: str, inputs: Json) -> Json:
    directory = inputs["stateDir"]
    return {
        "id": directory,
        "endpoint": f"127.0.0.1:{inputs['grpcPort']}",
        "url": f"http://127.0.0.1:{inputs['httpPort']}",
        "log": f"{directory}/platform.log",
        "version": "0.1.0",
        "state": "running",
    }


OUTPUTS: dict[str, Callable[[str, Json], Json]] = {"flyteform-embedded:index:Platform": _platform}
UNKNOWN_OUTPUTS = {"flyteform-embedded:index:Platform": ("endpoint", "url", "log", "version")}

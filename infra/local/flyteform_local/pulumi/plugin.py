"""The provider's process, `pulumi-resource-flyteform-embedded`."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from flyteform.pulumi.plugin import run_plugin

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from flyteform.pulumi.provider.engine import EngineLog
    from flyteform.pulumi.provider.serving import Calls


def main() -> int:
    """Serve the platforms of this machine."""
    return run_plugin(_servicer)


@asynccontextmanager
async def _servicer(log: EngineLog) -> AsyncGenerator[Calls]:
    from flyteform_local.pulumi.platforms import Platforms
    from flyteform_local.pulumi.servicer import Servicer

    yield Servicer(Platforms(log), log, version("flyteform"))


if __name__ == "__main__":
    sys.exit(main())

"""What an operator writes in a file or the environment, checked and turned into the settings of the parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# The file, and what variables that set one thing each begin with.
CONFIG_VARIABLE: Final = "FLYTEFORM_CONFIG"
VARIABLE_PREFIX: Final = "FLYTEFORM_CONTROLPLANE__"


def is_configured(file: Path | None, environ: Mapping[str, str]) -> bool:
    """Say whether there is anything to read: what reads it takes 100 ms and 10 MB, which who has none does not pay."""
    return file is not None or any(name.startswith(VARIABLE_PREFIX) for name in environ)

"""What an operator writes in a file or the environment, checked and turned into the settings of the parts."""

from __future__ import annotations

from typing import Final

# The file, and what variables that set one thing each begin with.
CONFIG_VARIABLE: Final = "FLYTEFORM_CONFIG"
VARIABLE_PREFIX: Final = "FLYTEFORM_CONTROLPLANE__"

"""What holds for every test."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from support.guardian import guarded

if TYPE_CHECKING:
    from collections.abc import Iterator

# Said before gRPC is imported: its handlers may crash a child that is forked while other threads call, and a child
# of a test runs another program at once.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"

# Nothing that tests start lasts longer than they do, even if they are killed.
guarded()

# A machine that is busy with other things is no mistake of ours.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# What needs a real Kubernetes runs where `make test-cluster` has started one.
collect_ignore = [] if "FLYTEFORM_TEST_CLUSTER" in os.environ else ["cluster"]


@pytest.fixture(autouse=True)
def _no_imports_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Forget modules that a test wrote and imported: the next test may write others of the same names."""
    path = sys.path.copy()
    yield
    sys.path[:] = path
    written = tmp_path_factory.getbasetemp()
    # Copied in one step: what is collected meanwhile may import.
    for name, module in sys.modules.copy().items():
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and Path(file).is_relative_to(written):
            del sys.modules[name]

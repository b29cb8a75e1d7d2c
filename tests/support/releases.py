"""The release before the newest change of the schema, from the history of the checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_REVISIONS = Path("controlplane/flyteform_controlplane/store/migrations/versions")
_PLANES = ("sdk/flyteform", "controlplane/flyteform_controlplane", "dataplane/flyteform_dataplane")
_PROGRAMS = ("infra/platform/flyteform_platform", "infra/onprem/flyteform_onprem")


def newest_revision(checkout: Path = _ROOT) -> str:
    """Return the schema's newest revision."""
    return _newest(checkout).name.partition("_")[0]


def release_before(folder: Path) -> Path | None:
    """Put the sources as they were before the newest revision into a folder; None where there is no such history."""
    newest = str(_newest(_ROOT).relative_to(_ROOT))
    added = _git("log", "--diff-filter=A", "--max-count=1", "--format=%H", "--", newest).stdout.decode().strip()
    archive = _git("archive", f"{added}^", *_PLANES, *_PROGRAMS) if added else None
    if archive is None or archive.returncode:
        return None
    # By tar itself: the oldest Python 3.11 unpacks nothing safely.
    subprocess.run(["tar", "--extract", f"--directory={folder}"], input=archive.stdout, check=True)
    return folder


def packages(checkout: Path) -> list[str]:
    """Return where the packages of a release's program are, and of what it imports beside the SDK."""
    return [str((checkout / each).parent) for each in (*_PROGRAMS, *_PLANES[1:])]


def _newest(checkout: Path) -> Path:
    return max((checkout / _REVISIONS).glob("[0-9][0-9][0-9][0-9]_*.py"))


def _git(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *words], cwd=_ROOT, capture_output=True, check=False)

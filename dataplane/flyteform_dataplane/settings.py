"""The settings of an embedded data plane, read from its command line."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from flyteform_dataplane.connectors.endpoints import Endpoint, parse_endpoint
from flyteform_dataplane.engine.graph import Deadlines
from flyteform_dataplane.process.images import ImageRule, parse_rule

if TYPE_CHECKING:
    from collections.abc import Sequence

_DEADLINES = {
    "attempt": "the longest time of an attempt of a task that has no timeout of its own (default: no limit)",
    "node": "the longest time of a node with all its attempts and all below it (default: no limit)",
    "workflow": "the longest time of an execution (default: no limit)",
    "queue": "the longest time that a task, a map or a child execution waits until it runs (default: no limit)",
}
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a data plane needs to know: `objects` is the URI prefix of its store, `parent` ends it with itself.

    `token_file` holds the token for a control plane that asks for one; it is read again for every call.
    `bootstrap_token_file` holds one for the first login instead, which makes an identity in `state_dir`.
    """

    state_dir: Path
    control_plane: str
    objects: str
    images: tuple[ImageRule, ...] = ()
    connectors: tuple[Endpoint, ...] = ()
    cluster: str = "embedded"
    max_attempts: int | None = None
    parent: int | None = None
    token_file: Path | None = None
    bootstrap_token_file: Path | None = None
    log_level: str = "INFO"
    deadlines: Deadlines = field(default_factory=Deadlines)

    @property
    def logs(self) -> Path:
        """Where logs are kept: among the objects, if those are here, so that clients get signed URLs of them."""
        scheme, _, path = self.objects.partition("://")
        return (Path(path) if scheme == "file" else self.state_dir) / "logs"

    @property
    def bootstrap(self) -> tuple[Path, Path] | None:
        """The file with the token for the first login, and the directory for the identity that it lets in."""
        return None if self.bootstrap_token_file is None else (self.bootstrap_token_file, self.state_dir / "identity")

    @property
    def python(self) -> Path:
        """The interpreter of images that no rule names: the platform's own."""
        return Path(sys.executable)


def parse(arguments: Sequence[str]) -> Settings:
    """Read the command line.

    Raises `InvalidInputError` for an image rule or a connector that can't be; another wrong flag ends the program with
    a usage message, as argparse does.
    """
    parser = argparse.ArgumentParser(prog="flyteform_dataplane", description="Runs executions of one control plane.")
    parser.add_argument("--state-dir", required=True, type=Path, help="where its log, its work and its logs are kept")
    parser.add_argument("--control-plane", required=True, metavar="HOST:PORT")
    parser.add_argument("--objects", required=True, metavar="URI", help="the prefix of all objects: file:///…")
    parser.add_argument("--image", action="append", default=[], metavar="PATTERN=PYTHON")
    parser.add_argument("--connector", action="append", default=[], metavar="[TYPE,…=][grpcs://]HOST:PORT")
    parser.add_argument("--cluster", default="embedded", help="the name under which the control plane knows it")
    parser.add_argument("--max-attempts", type=_count, help="how many attempts run at once (default: 2 per CPU)")
    parser.add_argument("--parent", type=_count, metavar="PID", help="end when this process, its parent, ends")
    parser.add_argument("--token-file", type=Path, metavar="PATH", help="the token for a control plane with login")
    parser.add_argument(
        "--bootstrap-token-file", type=Path, metavar="PATH", help="in its place: a token for the first login alone"
    )
    for what, meaning in _DEADLINES.items():
        parser.add_argument(f"--{what}-deadline", type=_seconds, default=0.0, metavar="SECONDS", help=meaning)
    parser.add_argument("--log-level", default="INFO", choices=_LEVELS)
    given = parser.parse_args(arguments)
    return Settings(
        state_dir=given.state_dir.absolute(),
        control_plane=given.control_plane,
        objects=given.objects,
        images=tuple(parse_rule(text) for text in given.image),
        connectors=tuple(parse_endpoint(text) for text in given.connector),
        cluster=given.cluster,
        max_attempts=given.max_attempts,
        parent=given.parent,
        token_file=given.token_file,
        bootstrap_token_file=given.bootstrap_token_file,
        log_level=given.log_level,
        deadlines=Deadlines(given.attempt_deadline, given.node_deadline, given.workflow_deadline, given.queue_deadline),
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < inf:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return seconds


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number

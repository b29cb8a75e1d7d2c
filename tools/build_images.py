"""`make images`: builds the container images with podman, buildah or docker, whichever is there."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_FOLDER = _ROOT / "images"
_ENGINES = {"podman": ("build",), "buildah": ("build",), "docker": ("buildx", "build", "--load")}


def main(words: list[str]) -> int:
    """Build all images, or those that are named; 1 if there is no engine or a build fails."""
    names = sorted(each.stem for each in _FOLDER.glob("*.Containerfile"))
    parser = argparse.ArgumentParser(prog="make images", description=__doc__)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=f"of {', '.join(names)} (default: all)")
    parser.add_argument("--registry", default="localhost/flyteform", help="(default: %(default)s)")
    parser.add_argument("--tag", default=_version(), help="(default: %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="only show the commands")
    given = parser.parse_args(words)
    if unknown := sorted(set(given.images) - set(names)):
        print(f"Error: there is no image {unknown[0]}: {', '.join(names)}", file=sys.stderr)
        return 1
    engine = next((each for each in _ENGINES if shutil.which(each)), "podman" if given.dry_run else "")
    if not engine:
        print(f"Error: none of {', '.join(_ENGINES)} is on PATH: install one", file=sys.stderr)
        return 1
    for name in given.images or names:
        command = command_for(engine, name, f"{given.registry}/{name}:{given.tag}")
        print(" ".join(command), flush=True)
        if not given.dry_run and subprocess.run(command, cwd=_ROOT, check=False).returncode:
            return 1
    return 0


def command_for(engine: str, name: str, image: str) -> list[str]:
    """Return the command that builds an image from the checkout."""
    file = _FOLDER / f"{name}.Containerfile"
    ignore = file.with_name(f"{file.name}.dockerignore")
    return [engine, *_ENGINES[engine], "--file", str(file), "--tag", image, *_ignoring(engine, ignore), str(_ROOT)]


def _ignoring(engine: str, ignore: Path) -> list[str]:
    # Docker finds the file beside the Containerfile by its name.
    return [] if engine == "docker" else ["--ignorefile", str(ignore)]


def _version() -> str:
    return str(tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["version"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

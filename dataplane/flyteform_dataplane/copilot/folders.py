"""The folders of a command's files, which nothing leads out of: names come from the inputs and objects of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flyteform.errors import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST: Final = 255  # bytes of a file's name
_NONE: Final = ("", ".", "..")


def entry(folder: Path, name: str) -> Path:
    """Return the file of a name in a folder; `InvalidInputError` where that is none, or would be elsewhere."""
    if name in _NONE or "/" in name or "\0" in name:
        raise InvalidInputError(f"{name[:100]!r} cannot be the name of a file")
    if len(name.encode()) > _LONGEST:
        raise InvalidInputError(f"{name[:100]!r}… is too long for the name of a file")
    return folder / name


def below(folder: Path, path: str) -> Path:
    """Return the file of a path below a folder; `InvalidInputError` as for `entry`."""
    file = folder
    for name in path.split("/"):
        file = entry(file, name)
    return file


def written(folder: Path, name: str) -> Path:
    """Return the file or folder of a name that a program has left; like Flyte's, any extension may follow the name.

    It may not be there. `InvalidInputError` for a link that leads out of the folder: what is there is not what the
    program saw, as whoever reads it may be another container.
    """
    path = entry(folder, name)
    if not path.is_symlink() and not path.exists():
        extended = [one for one in folder.iterdir() if one.name.startswith(f"{name}.")] if folder.is_dir() else []
        path = extended[0] if len(extended) == 1 else path
    own(path, folder)
    return path


def own(path: Path, folder: Path) -> None:
    """Raise `InvalidInputError` for a link that leads out of the folder."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InvalidInputError(f"{path.relative_to(folder)} is a link that leads out of the folder of outputs")

"""Which file is behind a `file://` URI, and that it lies below one directory, links followed."""

from __future__ import annotations

import errno
import os
import stat

from flyteform.errors import InvalidInputError
from flyteform.objects import files

SCHEME = "file://"


class Places:
    """The files below the directory that the URI `prefix` names, which may be a link itself.

    Every method raises `InvalidInputError` for a URI that is not plain, or not below the prefix with links followed.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix.rstrip("/")
        # Nothing for the machine's own root, so that every path is this, a slash and what is below.
        self.root = os.path.realpath(path_of(self.prefix)).rstrip("/")

    def relative(self, uri: str) -> str:
        """Return the part of a URI below the prefix; it is not looked for there."""
        if not uri.startswith(self.prefix + "/"):
            raise InvalidInputError(f"{uri!r} is not below {self.prefix}")
        relative = uri[len(self.prefix) + 1 :]
        _refuse_unsafe(uri, relative)
        return relative

    def file(self, uri: str) -> str:
        """Return the path of the file, which need not be there."""
        relative = self.relative(uri)
        path = self.root
        for part in relative.split("/"):
            path = f"{path}/{part}"
            try:
                mode = os.lstat(path).st_mode
            except OSError:
                break  # what is not there, or cannot be there, leads nowhere
            if stat.S_ISLNK(mode):
                # A link that leads out must not be read or written through, wherever in the path it is.
                self._refuse_outside(uri, f"{self.root}/{relative}")
                break
        return f"{self.root}/{relative}"

    def _refuse_outside(self, uri: str, path: str) -> None:
        if not f"{os.path.realpath(path)}/".startswith(f"{self.root}/"):
            raise InvalidInputError(f"{uri} leads out of {self.prefix}")

    def folder(self, uri: str, *, making: bool = False, syncing: bool) -> tuple[int, str]:
        """Open the directory that the file is in; return its descriptor, and the file's name there.

        That is how to use small files: it takes a few system calls however deep they lie, and what somebody makes of
        the path afterwards changes nothing. The name itself may be a link still.
        """
        directory, _, name = f"{self.root}/{self.relative(uri)}".rpartition("/")
        try:
            folder = files.open_folder(directory, syncing=syncing)
        except FileNotFoundError:
            self._refuse_astray(uri, directory)
            if not making:
                raise
            # To ask first would cost more: most directories are there.
            files.make_directories(directory)
            folder = files.open_folder(directory, syncing=syncing)
        except OSError:
            self.file(uri)
            raise
        try:
            if not _is_at(folder, directory):
                self.file(uri)
        except BaseException:
            os.close(folder)
            raise
        return folder, name

    def _refuse_astray(self, uri: str, directory: str) -> None:
        """Refuse a directory that is not there if it would be outside, by the nearest one above that is there."""
        if len(directory) <= len(self.root):
            return  # the root itself is not there
        above, _, name = directory.rpartition("/")
        try:
            folder = files.open_folder(above or "/", syncing=False)
        except FileNotFoundError:
            self._refuse_astray(uri, above)
            return
        except OSError:
            self.file(uri)
            return
        try:
            if _is_at(folder, above or "/"):
                self.refuse_link(uri, folder, name)  # one that leads to nothing
            else:
                self.file(uri)
        finally:
            os.close(folder)

    def target(self, uri: str, *, syncing: bool = True) -> tuple[int, str]:
        """Open the directory that the file shall be in, which is made if need be, and its name there."""
        folder, name = self.folder(uri, making=True, syncing=syncing)
        try:
            self.refuse_link(uri, folder, name)
        except BaseException:
            os.close(folder)
            raise
        return folder, name

    def refuse_link(self, uri: str, folder: int, name: str) -> None:
        """Refuse the file's name in its open directory if it is a link that leads out."""
        try:
            mode = os.lstat(name, dir_fd=folder).st_mode
        except OSError:
            return
        if stat.S_ISLNK(mode):
            self.file(uri)

    def reading(self, uri: str) -> int:
        """Open the file."""
        folder, name = self.folder(uri, syncing=False)
        try:
            return os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return os.open(self.file(uri), os.O_RDONLY)
        finally:
            os.close(folder)


def path_of(uri: str) -> str:
    """Return the path that a `file://` URI names; `InvalidInputError` if it is not plain."""
    path = uri.removeprefix(SCHEME)
    if not uri.startswith(SCHEME) or not path.startswith("/"):
        raise InvalidInputError(f"{uri!r} is not a URI of the form file:///absolute/path")
    _refuse_unsafe(uri, path[1:])
    return path


def _refuse_unsafe(uri: str, path: str) -> None:
    between = f"/{path}/"
    if "\0" in path or "//" in between or "/./" in between or "/../" in between:
        raise InvalidInputError(f"{uri!r} is not a plain path: it has an empty, '.' or '..' part, or a NUL in it")
    if f"/{files.TEMPORARY_PREFIX}" in between:
        raise InvalidInputError(f"{uri!r} has a part that starts with {files.TEMPORARY_PREFIX}, which is reserved")


def _is_at(folder: int, directory: str) -> bool:
    """Say whether an open directory has just this path, so that no link led there; False where that is not known."""
    try:
        return os.readlink(f"/proc/self/fd/{folder}") == directory  # noqa: PTH115 - on the way to every file
    except OSError:
        return False

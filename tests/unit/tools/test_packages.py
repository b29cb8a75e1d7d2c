"""What images have of the distributions that are installed here."""

from __future__ import annotations

from pathlib import Path

from tools.kubernetes.packages import of_extra, required_files


def test_files_do_not_say_where_the_environment_is() -> None:
    """Each is below the image's own folder or is one of the system's libraries, and none differs between checkouts."""
    files = dict(required_files(("numpy",)))
    assert "/opt/flyteform/numpy/__init__.py" in files
    assert "/opt/flyteform/click/__init__.py" in files
    system = [place for place in files if not place.startswith("/opt/flyteform/")]
    assert system
    assert {Path(place).parts[1] for place in system} <= {"lib", "lib64", "usr"}
    # They have digests of the commands, whose first lines name the environment's Python.
    assert not [place for place in files if place.endswith("/RECORD")]


def test_operators_have_all_of_their_extra() -> None:
    """What the project says that operators need is in their image, with what that needs itself."""
    assert set(of_extra("kubernetes")) == {"kubernetes", "msgspec"}
    files = {place for place, _ in required_files(of_extra("kubernetes"))}
    assert {f"/opt/flyteform/{name}/__init__.py" for name in ("kubernetes", "msgspec", "aiohttp")} <= files

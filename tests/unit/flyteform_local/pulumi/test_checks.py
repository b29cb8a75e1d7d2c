"""Inputs of the platform's resource: filled in, or refused with the path of the property."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from flyteform.pulumi.provider.values import UNKNOWN
from flyteform_local.pulumi.checks import check_inputs


def test_defaults() -> None:
    """What is left out is as its default says, and the directory is written out."""
    inputs, failures = check_inputs({"stateDir": "~/some/../state/", "grpcPort": None, "endpoint": None})
    assert failures == ()
    assert inputs == {
        "stateDir": str(Path.home() / "state"),
        "grpcPort": 0,
        "httpPort": 0,
        "images": {},
        "connectors": [],
        "retainData": True,
    }


@pytest.mark.parametrize(
    ("given", "path", "reason"),
    [
        ({}, "stateDir", "is missing"),
        ({"stateDir": "state"}, "stateDir", "is no absolute path"),
        ({"stateDir": "~nobody-of-this-name/state"}, "stateDir", "names no home directory"),
        ({"grpcPort": 70000.0}, "grpcPort", "70000 is no port"),
        ({"grpcPort": 80.5}, "grpcPort", "is not a whole number"),
        ({"grpcPort": True}, "grpcPort", "is not a whole number"),
        ({"httpPort": -1.0}, "httpPort", "-1 is no port"),
        ({"grpcPort": 8089.0, "httpPort": 8089.0}, "httpPort", "they need a port each"),
        ({"images": {"a/*": "/nowhere/python"}}, 'images["a/*"]', "/nowhere/python"),
        ({"connectors": ["nonsense"]}, "connectors[0]", "nonsense"),
        ({"connectors": "a:1"}, "connectors", "is not a list of texts"),
        ({"retainData": "yes"}, "retainData", "is not true or false"),
        ({"port": 1.0}, "port", "there is no such property"),
    ],
    ids=str,
)
def test_refused(given: dict[str, Any], path: str, reason: str) -> None:
    """Each mistake is one failure with its path and its reason."""
    if given and "stateDir" not in given:
        given = {"stateDir": "/state", **given}
    (failure,) = check_inputs(given)[1]
    assert failure.path == path
    assert reason in failure.reason


@pytest.mark.parametrize("name", ["stateDir", "grpcPort", "httpPort", "images", "connectors", "retainData"])
def test_unknown(name: str) -> None:
    """What is known later is no failure now."""
    inputs, failures = check_inputs({"stateDir": "/state", name: UNKNOWN})
    assert failures == ()
    assert inputs[name] is UNKNOWN


def test_parts_that_are_known_later() -> None:
    """One interpreter or connector may be known later, and the others are looked at."""
    given = {"stateDir": "/state", "images": {"a/*": UNKNOWN, "b/*": sys.executable}, "connectors": [UNKNOWN, "x"]}
    (failure,) = check_inputs(given)[1]
    assert failure.path == "connectors[1]"

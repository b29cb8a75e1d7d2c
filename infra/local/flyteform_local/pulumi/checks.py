"""Checks of the platform's inputs: defaults filled in, and every failure with the path of its property."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyteform.errors import InvalidInputError
from flyteform.pulumi.provider.checks import Failure, check_configuration
from flyteform.pulumi.provider.paths import path_text
from flyteform.pulumi.provider.values import UNKNOWN
from flyteform_dataplane.connectors.endpoints import parse_endpoint
from flyteform_dataplane.process.images import parse_rule
from flyteform_local.pulumi.kinds import CONNECTORS, DEFAULTS, GRPC_PORT, HTTP_PORT, IMAGES, INPUTS, STATE_DIR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_PORTS = range(65536)


def check_inputs(given: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Failure, ...]]:
    """Return the inputs as the platform takes them, and what is wrong with them."""
    inputs = {**DEFAULTS, **{name: value for name, value in given.items() if value is not None}}
    failures = check_configuration(INPUTS, inputs) or tuple(_value_failures(inputs))
    if not failures and inputs[STATE_DIR] is not UNKNOWN:
        inputs[STATE_DIR] = str(directory_of(str(inputs[STATE_DIR])))
    return inputs, failures


def directory_of(text: str) -> Path:
    """Return the directory that a text names; `InvalidInputError` if there is no such home."""
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise InvalidInputError(f"{text!r} names no home directory", remedy="write out the whole path") from error
    if not path.is_absolute():
        raise InvalidInputError(f"{text!r} is no absolute path", remedy="write out the whole path")
    return Path(os.path.normpath(path))


def _value_failures(inputs: Mapping[str, Any]) -> Iterator[Failure]:
    if inputs[STATE_DIR] is not UNKNOWN:
        yield from _failure(STATE_DIR, partial(directory_of, inputs[STATE_DIR]))
    for name in (GRPC_PORT, HTTP_PORT):
        if inputs[name] is not UNKNOWN and inputs[name] not in _PORTS:
            yield Failure(name, f"{inputs[name]:g} is no port: use 1 to 65535, or 0 for any free one")
    if inputs[GRPC_PORT] == inputs[HTTP_PORT] not in (0, UNKNOWN):
        yield Failure(HTTP_PORT, f"is {inputs[HTTP_PORT]:g}, as {GRPC_PORT} is: they need a port each")
    for pattern, python in _known(inputs[IMAGES]).items():
        if python is not UNKNOWN:
            yield from _failure(path_text((IMAGES, pattern)), partial(parse_rule, f"{pattern}={python}"))
    for at, connector in enumerate(() if inputs[CONNECTORS] is UNKNOWN else inputs[CONNECTORS]):
        if connector is not UNKNOWN:
            yield from _failure(path_text((CONNECTORS, at)), partial(parse_endpoint, connector))


def _known(value: Any) -> Mapping[str, Any]:
    return {} if value is UNKNOWN else value


def _failure(path: str, read: Callable[[], object]) -> Iterator[Failure]:
    try:
        read()
    except InvalidInputError as error:
        yield Failure(path, error.message)

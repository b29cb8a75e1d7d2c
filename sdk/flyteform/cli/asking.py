"""Asking on the terminal before what cannot be undone."""

from __future__ import annotations

import sys

import click


def ask(question: str, *, to: str, declined: str) -> None:
    """Return if the answer is yes; `to` says what `-y` is for, `declined` what a no means.

    `InvalidInputError` where nobody can be asked, `ConflictError` if the answer is no.
    """
    from flyteform.errors import ConflictError, InvalidInputError

    if not sys.stdin.isatty():
        raise InvalidInputError("there is no terminal to ask on", remedy=f"add -y to {to}")
    if not click.confirm(question):
        raise ConflictError(declined)

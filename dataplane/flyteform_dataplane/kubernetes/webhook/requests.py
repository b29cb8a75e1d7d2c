"""What a pod says of the secrets that it needs: one label, and an annotation for each. Their form is Flyte's."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from flyteidl.core.security_pb2 import Secret
from google.protobuf import text_format

from flyteform.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LABEL: Final = "inject-flyte-secrets"
LABEL_VALUE: Final = "true"
_PREFIX = "flyte.secrets/s"
# Base32 with letters that may be in names, as Flyte writes it.
_STANDARD = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_FLYTES = "abcdefghijklmnopqrstuvwxyz123456"
_ENCODE, _DECODE = str.maketrans(_STANDARD, _FLYTES), str.maketrans(_FLYTES, _STANDARD)


def annotations_of(secrets: Iterable[Secret]) -> dict[str, str]:
    """Return the annotations that ask for the secrets; none for none."""
    return {f"{_PREFIX}{number}": encoded(text_format.MessageToString(one)) for number, one in enumerate(secrets)}


def secrets_of(annotations: Mapping[str, str]) -> list[Secret]:
    """Return the secrets that annotations ask for; `InvalidInputError` for one that cannot be read."""
    found = []
    for name, value in sorted(annotations.items()):
        if name.startswith(_PREFIX):
            try:
                found.append(text_format.Parse(_decoded(value), Secret()))
            except (ValueError, text_format.ParseError) as error:
                raise InvalidInputError(f"the annotation {name} asks for no secret that can be read") from error
    return found


def encoded(text: str) -> str:
    """Return a text in letters and digits that names may have."""
    return base64.b32encode(text.encode()).decode("ascii").rstrip("=").translate(_ENCODE)


def _decoded(text: str) -> str:
    standard = text.translate(_DECODE)
    return base64.b32decode(standard + "=" * (-len(standard) % 8)).decode()

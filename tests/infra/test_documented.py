"""The page about platforms has every field of every configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest
from pydantic import BaseModel

from flyteform_aws.config import AwsConfig
from flyteform_azure.config import AzureConfig
from flyteform_gcp.config import GcpConfig
from flyteform_local.config import LocalConfig
from flyteform_onprem.config import OnPremConfig
from support.recording.stacks import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (ROOT / "docs" / "platforms.md").read_text()


def fields(model: type[BaseModel]) -> Iterator[str]:
    """Return the names of all fields that hold no others, as files have them."""
    for name, field in model.model_fields.items():
        parts = list(sections(field.annotation))
        if not parts:
            yield field.alias or name
        for part in parts:
            yield from fields(part)


def sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Return the sections that a field may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from sections(argument)


MODELS = [AwsConfig, GcpConfig, AzureConfig, OnPremConfig, LocalConfig]


@pytest.mark.parametrize("model", MODELS, ids=lambda each: each.__name__)
def test_documented(model: type[BaseModel]) -> None:
    """Each field's name stands on the page, by itself or at the end of a path."""
    missing = {name for name in fields(model) if f"`{name}`" not in PAGE and f".{name}`" not in PAGE}
    assert missing == set()

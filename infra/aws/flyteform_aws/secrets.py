"""Secrets of projects' tasks in Secrets Manager: made empty here, filled by people, read by external-secrets alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pulumi_aws import secretsmanager

from flyteform_platform.clouds.secrets import task_secrets

if TYPE_CHECKING:
    from flyteform_aws.context import Context
    from flyteform_aws.keys import Keys

PATH: Final = "{name}/{project}/{domain}/{secret}"
_WEEK: Final = 7
_MONTH: Final = 30


def make_secrets(context: Context, keys: Keys) -> list[secretsmanager.Secret]:
    """Make them; a deleted one can be had back for a while."""
    production = context.config.is_production
    # Until then nothing else may have its name.
    window = 0 if context.config.is_throwaway else _MONTH if production else _WEEK
    return [
        secretsmanager.Secret(
            each.key,
            name=each.path,
            description=f"{each.name}, for tasks of {each.scope.key}",
            kms_key_id=keys.data.arn,
            recovery_window_in_days=window,
            opts=context.options(protect=production),
        )
        for each in task_secrets(context.config, PATH)
    ]

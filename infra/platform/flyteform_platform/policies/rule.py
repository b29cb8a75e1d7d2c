"""What a rule is: types of resources, and what is wrong with the inputs of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteform_platform.policies import aws, azure, everywhere, gcp, kubernetes
from flyteform_platform.policies.resource import Problems, Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["RULES", "Resource", "Rule"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: `name` is unique, `why` one sentence for people; `check` yields what is wrong, for types of `tokens`.

    No tokens are all types.
    """

    name: str
    why: str
    tokens: tuple[str, ...]
    check: Callable[[Resource], Problems]

    def judge(self, resource: Resource) -> list[str]:
        """Return what is wrong with the resource by this rule."""
        if self.tokens and not resource.type.endswith(self.tokens):
            return []
        return list(self.check(resource))


def _rules(module: Mapping[str, tuple[str, tuple[str, ...], Callable[[Resource], Problems]]]) -> list[Rule]:
    return [Rule(name, why, tokens, check) for name, (why, tokens, check) in module.items()]


RULES: tuple[Rule, ...] = tuple(
    rule for table in (everywhere.RULES, kubernetes.RULES, aws.RULES, gcp.RULES, azure.RULES) for rule in _rules(table)
)

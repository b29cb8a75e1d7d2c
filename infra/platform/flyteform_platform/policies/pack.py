"""The rules as policies of Pulumi's: `pulumi preview --policy-pack infra/policy`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_policy import EnforcementLevel, ResourceValidationPolicy

from flyteform_platform.policies.resource import Resource
from flyteform_platform.policies.rule import RULES

if TYPE_CHECKING:
    from pulumi_policy import Policy, ReportViolation, ResourceValidationArgs

    from flyteform_platform.policies.rule import Rule


def policies() -> list[Policy]:
    """Return one mandatory policy for each rule."""
    return [_policy(rule) for rule in RULES]


def _policy(rule: Rule) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        stack = args.urn.split("::")[0].rpartition(":")[2]
        resource = Resource(args.resource_type, args.name, args.props, protect=bool(args.opts.protect), stack=stack)
        for problem in rule.judge(resource):
            report(problem, args.urn)

    return ResourceValidationPolicy(rule.name, rule.why, validate, EnforcementLevel.MANDATORY)

"""What a preview says about a resource: the semantic difference, and what it means for others."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flyteform.errors import FlyteformError
from flyteform.provision.impact.model import Severity
from flyteform.provision.model import Action
from flyteform.pulumi.provider.diffs import Remembered, planned
from flyteform.pulumi.provider.messages import change_text
from flyteform.pulumi.provider.paths import differences, path_text
from flyteform.pulumi.provider.subjects import subject_of
from flyteform.pulumi.provider.values import at_path, unknown_paths, without

if TYPE_CHECKING:
    from flyteform.provision.model import Change
    from flyteform.pulumi.kinds import ResourceType
    from flyteform.pulumi.provider.engine import EngineLog
    from flyteform.pulumi.provider.paths import Path
    from flyteform.pulumi.provider.platforms import Platform
    from flyteform.pulumi.provider.subjects import Subject
    from flyteform.pulumi.provider.values import Properties


@dataclass(frozen=True, slots=True)
class Update:
    """A resource's new inputs, and what there was before."""

    subject: Subject
    old: Remembered
    before: Properties
    given: Properties


@dataclass(frozen=True, slots=True)
class Teller:
    """Says what a preview foresees of one resource."""

    log: EngineLog
    described: ResourceType
    urn: str

    async def creation(self, subject: Subject, platform: Platform) -> None:
        """Tell where something is there already; `DeclarationError` for what the platform would refuse."""
        changes = await platform.foresee(subject)
        if any(change.action is Action.CREATE for change in changes):
            return
        for change in changes:
            await self._say(replace(change, fields=()))

    async def update(self, update: Update, platform: Platform | None) -> None:
        """Tell the difference, of what is secret only that it differs; without a platform from what is remembered."""
        if platform is None:
            changes = planned(self.described, update.subject, update.old)
        else:
            changes = await platform.judge(update.subject)
        if update.before.secrets or update.given.secrets:
            changes = self._without_secrets(changes, update)
        for change in changes:
            await self._say(change)

    async def outline(self, old: Remembered, before: Properties, given: Properties) -> None:
        """Tell what is known of an update of which some is known only later."""
        unknown = frozenset(unknown_paths(given.values))
        hidden = unknown | before.secrets | given.secrets
        later = ", ".join(path_text(path) for path in sorted(unknown, key=str))
        for change in self._shown(old, before, given, hidden):
            await self._say(replace(change, version=None, reason=f"known later: {later}"))

    def _without_secrets(self, changes: tuple[Change, ...], update: Update) -> tuple[Change, ...]:
        """Take the fields from inputs without anything secret, and say which secrets differ."""
        before, given = update.before, update.given
        secrets = before.secrets | given.secrets
        fields = {step.action: step.fields for step in self._shown(update.old, before, given, secrets)}
        hidden = ", ".join(path_text(path) for path in sorted(secrets, key=str) if _differs(path, before, given))
        reason = f"; secret: {hidden}" if hidden else ""
        return tuple(
            replace(each, fields=fields.get(each.action, ()), reason=f"{each.reason}{reason}") for each in changes
        )

    def _shown(
        self, old: Remembered, before: Properties, given: Properties, hidden: frozenset[Path]
    ) -> tuple[Change, ...]:
        """Plan over inputs without what is hidden; nothing if what is left of them says nothing."""
        with suppress(FlyteformError, KeyError):
            subject = subject_of(self.described, without(given.values, hidden))
            if subject is not None:
                return planned(self.described, subject, Remembered(without(before.values, hidden), old.outputs))
        return ()

    async def _say(self, change: Change) -> None:
        await self.log.info(change_text(change), self.urn)
        for impact in change.impacts:
            send = self.log.info if impact.severity is Severity.INFO else self.log.warning
            await send(impact.message, self.urn)


def _differs(path: tuple[Any, ...], before: Properties, given: Properties) -> bool:
    return any(True for _ in differences(at_path(before.values, path), at_path(given.values, path)))

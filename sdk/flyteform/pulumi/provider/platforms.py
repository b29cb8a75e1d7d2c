"""The platform that the provider is configured with: what several resources ask at the same time is asked once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flyteform.client.admin import connect
from flyteform.errors import FlyteformError, UnavailableError
from flyteform.provision.judge import judge
from flyteform.provision.model import PLACELESS, Action, Change, Desired, Plan, ProjectSettings
from flyteform.provision.observe import observe
from flyteform.provision.plan import check_idle, plan_changes, removals
from flyteform.provision.write import Uploads, Writer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteform.client.admin import AdminClient
    from flyteform.client.config import ClientConfig
    from flyteform.provision.model import Address
    from flyteform.provision.observed import Observed
    from flyteform.pulumi.provider.subjects import Subject


class StepError(FlyteformError):
    """One of a resource's steps failed; `done` are those before it."""

    def __init__(self, done: tuple[Change, ...], failed: Change, error: FlyteformError) -> None:
        super().__init__(f"{failed.action.value} {failed.address}: {error.message}", remedy=error.remedy)
        self.done = done


@dataclass(slots=True)
class _Question:
    desired: Desired
    owned: tuple[Address, ...]
    answer: asyncio.Future[Observed]


class Platform:
    """Reads and writes through the core, one resource at a time."""

    def __init__(self, client: AdminClient) -> None:
        self.client = client
        self._uploads: Uploads = {}
        self._waiting: list[_Question] = []
        self._asking: asyncio.Task[None] | None = None

    async def observe(self, desired: Desired, owned: Iterable[Address] = ()) -> Observed:
        """Return what the platform has of this, and perhaps of more; `UnavailableError` if it cannot be reached."""
        question = _Question(desired, tuple(owned), asyncio.get_running_loop().create_future())
        self._waiting.append(question)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await question.answer

    async def foresee(self, subject: Subject) -> tuple[Change, ...]:
        """Return what bringing a resource about would do; its project may be about to be created too."""
        return (await self._planned(subject))[0]

    async def judge(self, subject: Subject) -> tuple[Change, ...]:
        """Return the same steps with what they mean for others, without those that do nothing."""
        changes, observed = await self._planned(subject)
        steps = tuple(change for change in changes if change.action is not Action.NO_OP)
        return await judge(self.client, subject.desired, observed, steps)

    async def _planned(self, subject: Subject) -> tuple[tuple[Change, ...], Observed]:
        observed = await self.observe(subject.desired)
        desired = subject.desired
        placed = subject.address.kind not in PLACELESS
        if placed and subject.address.project not in observed.projects:
            desired = replace(desired, projects=(ProjectSettings(subject.address.project),))
        changes = plan_changes(desired, observed, ())
        return tuple(change for change in changes if change.address == subject.address), observed

    async def bring_about(self, subject: Subject) -> Observed:
        """Take the steps that are needed; return what was there before. `StepError` if one fails."""
        observed = await self.observe(subject.desired)
        await self._take(subject.desired, plan_changes(subject.desired, observed, ()))
        return observed

    async def take_out_of_use(self, address: Address) -> None:
        """Archive or deactivate; what is gone already is no error."""
        observed = await self.observe(Desired(), (address,))
        changes = tuple(removals((address,), observed, reason="destroyed"))
        check_idle(changes, observed)
        await self._take(Desired(), changes)

    async def _take(self, desired: Desired, changes: tuple[Change, ...]) -> None:
        plan = Plan(self.client.config.endpoint, desired, changes)
        writer = Writer(plan, self.client, self._uploads)
        for taken, step in enumerate(plan.steps):
            try:
                await writer.write(step)
            except FlyteformError as error:
                raise StepError(plan.steps[:taken], step, error) from error

    async def _ask(self) -> None:
        """Answer all that wait with one reading; those that come meanwhile wait for the next."""
        while self._waiting:
            asked, self._waiting = self._waiting, []
            await self._answer(asked)

    async def _answer(self, asked: list[_Question]) -> None:
        try:
            observed = await observe(self.client, *_merged(asked))
        except Exception as error:  # noqa: BLE001 - it belongs to those that asked
            if len(asked) == 1 or isinstance(error, UnavailableError):
                _answer(asked, error)
                return
            for question in asked:  # what is wrong with one must not fail the others
                await self._answer([question])
        else:
            _answer(asked, observed)


def _merged(questions: Iterable[_Question]) -> tuple[Desired, list[Address]]:
    desired = Desired(
        projects=tuple(project for each in questions for project in each.desired.projects),
        entities=tuple(entity for each in questions for entity in each.desired.entities),
        settings=tuple(setting for each in questions for setting in each.desired.settings),
    )
    return desired, [address for each in questions for address in each.owned]


def _answer(questions: Iterable[_Question], answer: Observed | Exception) -> None:
    for question in questions:
        if question.answer.done():  # whoever asked has been cancelled
            continue
        if isinstance(answer, Exception):
            question.answer.set_exception(answer)
        else:
            question.answer.set_result(answer)


class Connection:
    """Opens the platform when it is first needed, and closes it."""

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._platform: Platform | None = None

    async def platform(self) -> Platform:
        """Return the platform."""
        async with self._opening:
            if self._platform is None:
                self._platform = Platform(await self._stack.enter_async_context(connect(self.config)))
        return self._platform

    async def close(self) -> None:
        """Close the channel."""
        self._platform = None
        await self._stack.aclose()

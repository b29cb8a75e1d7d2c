"""Whatever a client sends, the compiler answers with a closure or with CompileErrors, never with another exception."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import compiler_references as references
from hypothesis import given, settings
from hypothesis import strategies as st

from flyteform.compiler import CompileErrors, compile_task, compile_workflow, requirements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

_SPECS, _TASKS, _PLANS = references.workflow_specs(), references.compiled_tasks(), references.launch_plans()


def _parts(message: Message) -> Iterator[tuple[Message, str]]:
    """Give every set field of a message and of all messages in it."""
    for field, value in message.ListFields():
        yield message, field.name
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            inner = [value[key] for key in value if field.message_type.fields_by_name["value"].message_type]
        else:
            inner = list(value) if field.is_repeated else [value]
        for item in inner:
            yield from _parts(item)


@given(st.sampled_from(sorted(_SPECS)), st.data())
@settings(max_examples=300, deadline=None)
def test_workflows_with_fields_missing(name: str, data: st.DataObject) -> None:
    """Fields taken away anywhere in a specification make errors at most."""
    spec = type(_SPECS[name])()
    spec.CopyFrom(_SPECS[name])
    for _ in range(data.draw(st.integers(1, 3))):
        parts = list(_parts(spec))
        if parts:
            message, field = parts[data.draw(st.integers(0, len(parts) - 1))]
            message.ClearField(field)
    requirements(spec)
    with contextlib.suppress(CompileErrors):
        compile_workflow(spec, spec.template.id, tasks=_TASKS, launch_plans=_PLANS)


@given(st.sampled_from(sorted(references.task_specs())), st.data())
@settings(max_examples=100, deadline=None)
def test_tasks_with_fields_missing(name: str, data: st.DataObject) -> None:
    """Fields taken away anywhere in a task make errors at most."""
    spec = references.task_specs()[name]
    parts = list(_parts(spec))
    message, field = parts[data.draw(st.integers(0, len(parts) - 1))]
    message.ClearField(field)
    with contextlib.suppress(CompileErrors):
        compile_task(spec, spec.template.id)

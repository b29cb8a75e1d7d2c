"""Which node of the new graph is which of the old one: numbers that moved and names that changed are no new nodes."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

from flyteform.provision.impact.nodes import IMPLICIT, NUMBERED, node_form, renamed, runs_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteidl.core import workflow_pb2

_PASSES = 8  # a pass resolves a whole chain of nodes in the order of the graph; other orders need few more


def match_nodes(before: Sequence[workflow_pb2.Node], after: Sequence[workflow_pb2.Node]) -> dict[str, str]:
    """Return the new id of every old node that is still there.

    A name that an author gave counts first; then nodes are the same that do the same with the same sources; then
    those that run the same; then those with the same number. Ties go by order, so the answer is always the same.
    """
    return _Matching(before, after).run()


class _Matching:
    def __init__(self, before: Sequence[workflow_pb2.Node], after: Sequence[workflow_pb2.Node]) -> None:
        self._before = {node.id: node for node in before if node.id not in IMPLICIT}
        self._after = {node.id: node for node in after if node.id not in IMPLICIT}
        self._found: dict[str, str] = {}
        self._free = dict.fromkeys(self._after)
        self._after_contents = {name: _content(node) for name, node in self._after.items()}

    def run(self) -> dict[str, str]:
        for name in self._before:
            if name in self._free and not NUMBERED.fullmatch(name):
                self._take(name, name)
        self._take_unchanged()
        self._take_same_target()
        self._take_unchanged()
        for name in [name for name in self._left() if name in self._free]:
            self._take(name, name)
        return self._found

    def _take(self, old: str, new: str) -> None:
        self._found[old] = new
        del self._free[new]

    def _left(self) -> list[str]:
        return [name for name in self._before if name not in self._found]

    def _take_unchanged(self) -> None:
        """Match nodes with the same content, again and again, as each match tells what its users' sources are."""
        for _ in range(_PASSES):
            candidates: defaultdict[object, deque[str]] = defaultdict(deque)
            for name in self._free:
                candidates[self._after_contents[name]].append(name)
            left = self._left()
            for name in left:
                same = candidates.get(_content(renamed(self._before[name], self._new_id)))
                if same:
                    chosen = name if name in same else same[0]
                    same.remove(chosen)
                    self._take(name, chosen)
            if len(self._left()) in (0, len(left)):
                return

    def _take_same_target(self) -> None:
        """Match what runs the same: numbered nodes in order, named ones only where there is no choice."""
        old, new = self._by_target(self._left(), self._before), self._by_target([*self._free], self._after)
        for target, names in old.items():
            others = new.get(target, [])
            numbered = all(NUMBERED.fullmatch(name) for name in (*names, *others))
            if not numbered and not len(names) == len(others) == 1:
                continue
            for name in [name for name in names if name in others]:
                self._take(name, name)
            rest = [name for name in names if name not in self._found]
            for name, other in zip(rest, [each for each in others if each in self._free], strict=False):
                self._take(name, other)

    @staticmethod
    def _by_target(names: Sequence[str], nodes: dict[str, workflow_pb2.Node]) -> dict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for name in names:
            found[runs_text(nodes[name])].append(name)
        return found

    def _new_id(self, old: str) -> str:
        """Return what a source is called now; one that is not matched yet is not equal to anything new."""
        if old not in self._before:
            return old
        return self._found.get(old, f"{old}?")


def _content(node: workflow_pb2.Node) -> object:
    """Return what a node is, apart from its id."""
    return tuple(sorted((path, shown.exact or shown.text) for path, shown in node_form(node).items()))

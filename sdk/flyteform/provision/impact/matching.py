"""Which node of the new graph is which of the old one: numbers that moved and names that changed are no new nodes."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

from flyteform.provision.impact.nodes import IMPLICIT, NUMBERED, node_form, renamed, runs_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteidl.core import workflow_pb2

_Content = tuple[tuple[str, str | bytes], ...]
_CANDIDATES = 50  # nodes that run the same and are compared with each other: more would take a time that grows too fast
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
        while self._take_only_ones():
            self._take_unchanged()
        self._take_most_alike()
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
            candidates: defaultdict[_Content, deque[str]] = defaultdict(deque)
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

    def _take_only_ones(self) -> bool:
        """Match what runs the same where there is no choice; tell whether anything was."""
        old, new = self._by_target(self._left(), self._before), self._by_target([*self._free], self._after)
        only = [
            (names[0], new[target][0]) for target, names in old.items() if len(names) == len(new.get(target, ())) == 1
        ]
        for name, other in only:
            self._take(name, other)
        return bool(only)

    def _take_most_alike(self) -> None:
        """Match numbered nodes that run the same by what they have in common; names are not given to others."""
        old, new = self._by_target(self._left(), self._before), self._by_target([*self._free], self._after)
        for target, names in old.items():
            others = new.get(target, [])
            if not all(NUMBERED.fullmatch(name) for name in (*names, *others)):
                continue
            for name in names[: len(others)]:
                chosen = self._most_alike(name, others[:_CANDIDATES])
                others.remove(chosen)
                self._take(name, chosen)

    def _most_alike(self, old: str, candidates: Sequence[str]) -> str:
        """Return the node with the most fields in common; of several the one with the same number, or the first."""
        content = set(_content(renamed(self._before[old], self._new_id)))
        return max(candidates, key=lambda each: (len(content.intersection(self._after_contents[each])), each == old))

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


def _content(node: workflow_pb2.Node) -> _Content:
    """Return what a node is, apart from its id."""
    return tuple(sorted((path, shown.exact or shown.text) for path, shown in node_form(node).items()))

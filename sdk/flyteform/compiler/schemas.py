"""Whether a value of one dataclass can be read as another, judged by the JSON schemas that their types carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct

_EXACT = ("type", "enum", "const", "format", "pattern")
_CHOICES = ("anyOf", "oneOf", "allOf")

Schema = dict[str, Any]
_Pair = tuple[int, int]


def is_compatible(upstream: Struct, downstream: Struct) -> bool:
    """Say whether each field that `downstream` declares is in `upstream` with the same type (draft 2020-12).

    So a child dataclass passes where its parent is expected, also when nested. As in Flyte, `additionalProperties`
    is not compared.
    """
    if upstream == downstream:
        return True
    try:
        up, down = json_format.MessageToDict(upstream), json_format.MessageToDict(downstream)
    except (json_format.Error, ValueError):  # an infinite number: no JSON, so no schema
        return False
    return _Comparison(up, down).covers(up, down)


class _Comparison:
    """One run over two schema documents; recursive definitions end at a pair that is being compared already."""

    def __init__(self, up_root: Schema, down_root: Schema) -> None:
        self._up_root, self._down_root = up_root, down_root
        self._open: set[_Pair] = set()

    def covers(self, up: Any, down: Any) -> bool:
        up, down = _resolve(up, self._up_root), _resolve(down, self._down_root)
        if not isinstance(up, dict) or not isinstance(down, dict):
            return bool(up == down)
        pair = (id(up), id(down))
        if pair in self._open:
            return True
        self._open.add(pair)
        return self._same_kind(up, down) and self._properties(up, down) and self._parts(up, down)

    def _same_kind(self, up: Schema, down: Schema) -> bool:
        return all(up.get(keyword) == down.get(keyword) for keyword in _EXACT)

    def _properties(self, up: Schema, down: Schema) -> bool:
        offered, wanted = up.get("properties", {}), down.get("properties", {})
        return all(name in offered and self.covers(offered[name], wanted[name]) for name in wanted)

    def _parts(self, up: Schema, down: Schema) -> bool:
        if ("items" in up or "items" in down) and not self.covers(up.get("items"), down.get("items")):
            return False
        return all(self._choices(up.get(keyword, []), down.get(keyword, [])) for keyword in _CHOICES)

    def _choices(self, up: list[Any], down: list[Any]) -> bool:
        return len(up) == len(down) and all(self.covers(one, other) for one, other in zip(up, down, strict=True))


def _resolve(schema: Any, root: Schema) -> Any:
    """Follow `$ref` inside the same document; a reference that leads nowhere stays as it is."""
    for _ in range(100):
        if not isinstance(schema, dict) or not isinstance(schema.get("$ref"), str):
            break
        target: Any = root
        for part in schema["$ref"].removeprefix("#").strip("/").split("/"):
            target = target.get(part) if isinstance(target, dict) and part else target
        if target is None:
            break
        schema = target
    return schema

"""Union and Optional."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyteform.types.family import TypeFamily, ValueMismatchError, mismatch
from flyteform.types.scalars import FloatFamily, IntFamily, NoneFamily, StrFamily

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteidl.core import literals_pb2, types_pb2


class UnionFamily(TypeFamily):
    """One of several types; a value belongs to the first variant that takes it as it is."""

    tag = "Typed Union"

    def __init__(self, variants: tuple[TypeFamily, ...]) -> None:
        """Hold the variants in the order in which they were written."""
        self.variants = variants
        # An int fits a float too, but must stay an int where the union has both.
        self._by_exactness = sorted(variants, key=lambda v: isinstance(v, FloatFamily))

    @property
    def name(self) -> str:
        """`A | B`."""
        return " | ".join(variant.name for variant in self.variants)

    @property
    def optional(self) -> bool:
        """Whether None is one of the variants."""
        return any(isinstance(variant, NoneFamily) for variant in self.variants)

    def _first(self, convert: Callable[[TypeFamily], Any], value: Any) -> tuple[TypeFamily, Any]:
        failures = []
        for variant in self._by_exactness:
            try:
                return variant, convert(variant)
            except ValueMismatchError as error:
                failures.append(error)
        deep = [failure for failure in failures if failure.path]
        raise deep[0] if len(deep) == 1 else mismatch(self.name, value)

    def variant_of(self, value: Any) -> TypeFamily:
        """Return the variant that takes the value."""
        return self._first(lambda variant: variant.check(value), value)[0]

    def check(self, value: Any) -> Any:
        """Return the value as its variant checks it."""
        return self._first(lambda variant: variant.check(value), value)[1]

    def to_plain(self, value: Any) -> Any:
        """Return the variant's plain form."""
        return self.variant_of(value).to_plain(value)

    def from_plain(self, plain: Any) -> Any:
        """Return the value of the first variant that can read the plain form."""
        exact = [variant for variant in self.variants if isinstance(variant, IntFamily | StrFamily | NoneFamily)]
        for variant in exact:  # before what reads text or whole floats as something else
            try:
                return variant.check(plain)
            except ValueMismatchError:
                continue
        return self._first(lambda variant: variant.from_plain(plain), plain)[1]

    def parse(self, text: str) -> Any:
        """Read the text as the first variant that can; as str only when no other can."""
        last = [variant for variant in self._by_exactness if isinstance(variant, StrFamily)]
        for variant in [v for v in self._by_exactness if v not in last] + last:
            try:
                return variant.parse(text)
            except ValueMismatchError:
                continue
        raise ValueMismatchError(f"expected {self.name}, got {text!r}")

    def schema(self) -> dict[str, Any]:
        """Return the alternatives."""
        return {"anyOf": [variant.schema() for variant in self.variants]}

    def literal_type(self) -> types_pb2.LiteralType:
        """Return the union type, each variant with its tag."""
        from flyteidl.core import types_pb2

        variants = [_tagged(variant) for variant in self.variants]
        return types_pb2.LiteralType(union_type=types_pb2.UnionType(variants=variants))

    def fill(self, literal: literals_pb2.Literal, value: Any) -> None:
        """Write the union literal, which says which variant it holds."""
        variant, checked = self._first(lambda variant: variant.check(value), value)
        variant.fill(literal.scalar.union.value, checked)
        literal.scalar.union.type.CopyFrom(_tagged(variant))

    def to_python(self, literal: literals_pb2.Literal) -> Any:
        """Return the value of the variant that the literal names, or else of the first that can read it."""
        if literal.scalar.HasField("union"):
            union = literal.scalar.union
            named = [v for v in self.variants if v.tag == union.type.structure.tag]
            if len(named) == 1:
                return named[0].to_python(union.value)
            return self.to_python(union.value)
        if literal.scalar.HasField("binary"):
            return super().to_python(literal)
        return self.read(literal)

    def read(self, literal: literals_pb2.Literal) -> Any:
        """Return the value of the first variant that can read the literal."""
        for variant in self._by_exactness:
            try:
                return variant.to_python(literal)
            except ValueMismatchError:
                continue
        raise ValueMismatchError(f"expected {self.name}, got a literal of none of these types")

    def accepts(self, source: TypeFamily) -> bool:
        """Accept what one variant accepts; of a union every variant has to be accepted."""
        if isinstance(source, UnionFamily):
            return all(self.accepts(variant) for variant in source.variants)
        return any(variant.accepts(source) for variant in self.variants)


def _tagged(variant: TypeFamily) -> types_pb2.LiteralType:
    literal_type = variant.literal_type()
    literal_type.structure.tag = variant.tag
    return literal_type

"""Which finished executions have to go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from flyteform_dataplane.kubernetes.collection import Finished, Retention, superfluous

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FOUND = st.lists(st.tuples(st.integers(0, 50), st.sampled_from("01")), max_size=40)


@given(FOUND, st.integers(0, 30), st.integers(0, 10))
def test_the_newest_stay(hours: list[tuple[int, str]], age: int, count: int) -> None:
    """What stays is young enough, is no more than so many of each shard, and is newer there than all that go."""
    found = [
        Finished(f"/{number}", str(number), shard, NOW - timedelta(hours=ago))
        for number, (ago, shard) in enumerate(hours)
    ]
    going = superfluous(found, Retention(timedelta(hours=age), count), NOW)
    for shard in "01":
        stay = [each for each in found if each.shard == shard and each not in going]
        gone = [each for each in going if each.shard == shard]
        assert len(stay) <= count
        assert all(NOW - each.at <= timedelta(hours=age) for each in stay)
        assert all(old.at <= new.at for old in gone for new in stay)
        young = [each for each in found if each.shard == shard and NOW - each.at <= timedelta(hours=age)]
        assert len(stay) == min(count, len(young))

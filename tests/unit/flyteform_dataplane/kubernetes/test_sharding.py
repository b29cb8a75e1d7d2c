"""The roster's rules: whatever members come, go, die and lag, no post is two members' and all are somebody's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyteform_dataplane.kubernetes.sharding import (
    LINK,
    POSTS,
    SHARDS,
    Post,
    Roster,
    renewed,
    shard_of,
    share,
    surplus,
    without,
)

NAMES = ("a", "b", "c", "d", "e")
# What a member does: a turn, dying without a word (seen by whoever comes next), leaving.
TURNS = st.tuples(st.sampled_from(NAMES), st.sampled_from(("turn", "turn", "turn", "die", "leave")))
ACTIONS = st.lists(TURNS, max_size=60)


class Play:
    """A roster, and who lives; each member works on what it read last, as its process would."""

    def __init__(self) -> None:
        self.roster = Roster()
        self.alive: dict[str, set[str]] = {}
        self.epochs: dict[str, int] = dict.fromkeys(POSTS, 0)

    def turn(self, name: str) -> None:
        """Renew, work on what is held but for the surplus, and give that up."""
        self._write(name, begin=name not in self.alive, given_up=())
        excess = surplus(self.roster, name)
        self.alive[name] = set(self.roster.held_by(name)) - set(excess)
        if excess:
            self._write(name, begin=False, given_up=excess)

    def _write(self, name: str, *, begin: bool, given_up: tuple[str, ...] | list[str]) -> None:
        silent = [member for member in self.roster.members if member not in self.alive]
        before = self.roster
        self.roster = renewed(before, name, silent=silent, begin=begin, given_up=given_up)
        for post, record in self.roster.posts.items():
            if record.holder != before.posts[post].holder and record.holder:
                assert record.epoch > self.epochs[post]
                self.epochs[post] = record.epoch
            for other, works_on in self.alive.items():
                assert other == record.holder or post not in works_on or other == name, f"{post} taken from {other}"

    def end(self, name: str, how: str) -> None:
        """Stop one."""
        if self.alive.pop(name, None) is not None and how == "leave":
            self.roster = without(self.roster, name)


@settings(max_examples=300)
@given(ACTIONS)
def test_every_history_is_safe_and_ends_fair(actions: list[tuple[str, str]]) -> None:
    """No post is taken from one that lives and works on it; when all is quiet each has its share, and one the link."""
    play = Play()
    for name, action in actions:
        if action == "turn":
            play.turn(name)
        else:
            play.end(name, action)
    play.turn("a")
    for _ in range(4):
        for name in sorted(play.alive):
            play.turn(name)
    held = {name: [post for post in works_on if post != LINK] for name, works_on in play.alive.items()}
    assert {name: len(posts) for name, posts in held.items()} == {name: share(play.alive, name) for name in play.alive}
    assert sum(LINK in works_on for works_on in play.alive.values()) == 1
    assert Roster.load(play.roster.dump()) == play.roster


@given(st.sets(st.text(min_size=1, max_size=5), min_size=1, max_size=12))
def test_shares_are_all_shards(members: set[str]) -> None:
    """However many share them, nothing is left over and no share is two larger than another."""
    shares = [share(members, name) for name in members]
    assert sum(shares) == SHARDS
    assert max(shares) - min(shares) <= 1


def test_a_former_life_is_fenced_off() -> None:
    """A process that begins again under its name takes its posts anew, above what the time says they may be."""
    first = renewed(Roster(), "a", silent=(), begin=True, least=100)
    assert set(first.held_by("a").values()) == {100}
    again = renewed(first, "a", silent=(), begin=True, least=100)
    assert set(again.held_by("a").values()) == {101}
    assert renewed(again, "a", silent=(), begin=False, least=999).held_by("a") == again.held_by("a")


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", "{}", '{"members":{"a":"x"},"posts":{}}', '{"members":3,"posts":{}}']
)
def test_whatever_is_no_roster_is_an_empty_one(text: str) -> None:
    """Nobody has to mend what somebody has broken."""
    assert Roster.load(text) == Roster()


def test_unknown_posts_are_left_out() -> None:
    """A roster of another version does not confuse this one."""
    roster = Roster.load('{"members":{"a":1},"posts":{"99":["a",4],"1":["a",3]}}')
    assert roster.held_by("a") == {"1": 3}
    assert roster.posts["2"] == Post()


def test_shards_stay_what_they_are() -> None:
    """Resources say their shard, so the same name is in the same shard for ever."""
    assert [shard_of(f"p/d/e{number}") for number in range(8)] == [0, 6, 4, 2, 1, 7, 5, 3]
    counts = [
        sum(shard_of(f"flytesnacks/development/f{number}") == shard for number in range(8000)) for shard in range(8)
    ]
    assert min(counts) > 800

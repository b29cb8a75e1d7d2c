"""Who of several operators does what: a roster that all of them write, and the pure rules by which they change it.

Executions are spread over a fixed number of shards by their names. A shard is one operator's at a time, and so is the
link to the control plane. Whoever takes a post over raises its epoch, by which what its former holder still writes is
told apart and refused.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# As many operators can share the work. Resources say their shard, so the number never changes.
SHARDS: Final = 8
SHARD_LABEL: Final = "shard-key"
LINK: Final = "link"
_SHARD_POSTS: Final = tuple(str(shard) for shard in range(SHARDS))
POSTS: Final = (LINK, *_SHARD_POSTS)


def shard_of(execution: str) -> int:
    """Return the shard of an execution, named as project, domain and name joined by slashes."""
    return zlib.crc32(execution.encode()) % SHARDS


@dataclass(frozen=True, slots=True)
class Post:
    """Who holds a post ("" for nobody), and how often it has changed hands."""

    holder: str = ""
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Roster:
    """What all operators know of each other: members with a number that each raises to show that it lives."""

    members: Mapping[str, int] = field(default_factory=dict)
    posts: Mapping[str, Post] = field(default_factory=lambda: dict.fromkeys(POSTS, Post()))

    def held_by(self, member: str) -> dict[str, int]:
        """Return the posts of a member with their epochs."""
        return {name: post.epoch for name, post in self.posts.items() if post.holder == member}

    def dump(self) -> str:
        """Return it as text."""
        posts = {name: [post.holder, post.epoch] for name, post in self.posts.items()}
        return json.dumps({"members": dict(self.members), "posts": posts}, separators=(",", ":"), sort_keys=True)

    @classmethod
    def load(cls, text: str) -> Roster:
        """Return what `dump` made; an empty roster of anything else, so that nobody has to mend it."""
        try:
            document: dict[str, Any] = json.loads(text)
            members = {str(name): int(beats) for name, beats in document["members"].items()}
            known = {str(name): Post(str(holder), int(epoch)) for name, (holder, epoch) in document["posts"].items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()
        return cls(members, {name: known.get(name, Post()) for name in POSTS})


def renewed(
    roster: Roster, me: str, *, silent: Iterable[str], begin: bool, least: int = 1, given_up: Iterable[str] = ()
) -> Roster:
    """Return the roster after one turn of `me`: it lives, the silent are gone, and free posts find a holder.

    A member takes no more shards than its share, so that each shard finds somebody; `given_up` are posts whose work
    `me` has ended. At its first turn (`begin`) it takes what its former life had anew, with another epoch. No epoch
    that it takes is below `least`: given the time, epochs grow even if somebody removes the roster.
    """
    gone = set(silent) - {me}
    members = {name: beats for name, beats in roster.members.items() if name not in gone}
    members[me] = members.get(me, 0) + 1
    left = {name for name, post in roster.posts.items() if post.holder == me and (begin or name in set(given_up))}
    posts = {
        name: replace(post, holder="") if name in left or post.holder not in members else post
        for name, post in roster.posts.items()
    }
    room = share(members, me) - sum(posts[name].holder == me for name in _SHARD_POSTS)
    for name, post in posts.items():
        if post.holder:
            continue
        if name == LINK:
            posts[name] = Post(me, max(post.epoch + 1, least))
        elif room > 0:
            posts[name] = Post(me, max(post.epoch + 1, least))
            room -= 1
    return Roster(members, posts)


def without(roster: Roster, me: str) -> Roster:
    """Return the roster after `me` has ended all its work and leaves."""
    members = {name: beats for name, beats in roster.members.items() if name != me}
    posts = {name: replace(post, holder="") if post.holder == me else post for name, post in roster.posts.items()}
    return Roster(members, posts)


def share(members: Iterable[str], me: str) -> int:
    """Return how many shards a member may have: all shares together are all shards."""
    names = sorted(members)
    return SHARDS // len(names) + (names.index(me) < SHARDS % len(names))


def surplus(roster: Roster, me: str) -> list[str]:
    """Return the shards that a member holds beyond its share, which it has to give up."""
    held = [name for name in _SHARD_POSTS if roster.posts[name].holder == me]
    return held[share({*roster.members, me}, me) :]

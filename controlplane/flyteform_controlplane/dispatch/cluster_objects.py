"""Objects wherever they lie: in the control plane's own store, or in a cluster's, whose data plane is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from grpc import StatusCode

from flyteform.errors import InvalidInputError, NotFoundError
from flyteform.objects.ports import ObjectInfo, SignedUrl
from flyteform.proto.flyteform.v1 import link_pb2
from flyteform_controlplane.domain.clusters import within
from flyteform_controlplane.errors import UnavailableError
from flyteform_controlplane.store.sql import clusters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection
    from datetime import timedelta

    from flyteform.objects.ports import Method, ObjectStore
    from flyteform_controlplane.dispatch.questions import Questions
    from flyteform_controlplane.store.database import Database

# What an answer on the link may carry; a client that wants more is given a URL.
_LARGEST_CONTENT: Final = 16 * 1024 * 1024
# The class below has a method `list`.
Objects: TypeAlias = list[link_pb2.StagedObject]


class ClusterObjects:
    """The control plane's store, and for reading also the stores of all clusters.

    What lies in a cluster's store is signed and read by its data plane; the control plane has no credential for it.
    `UnavailableError` while the cluster is not connected.
    """

    def __init__(self, own: ObjectStore, database: Database, questions: Questions) -> None:
        self._own = own
        self._database = database
        self._questions = questions
        self._prefixes: dict[str, str] = {}

    @property
    def prefix(self) -> str:
        """The URI that all objects of the own store start with."""
        return self._own.prefix

    async def get(self, uri: str, *, limit: int | None = None) -> bytes:
        """Return the content, as the port says."""
        cluster = await self.holder(uri)
        if cluster is None:
            return await self._own.get(uri, limit=limit)
        most = min(limit or _LARGEST_CONTENT, _LARGEST_CONTENT)
        signed = await self._ask(cluster, link_pb2.SignURL(uri=uri, content_bytes=most))
        if signed.size > most:
            raise InvalidInputError(f"{uri} has {signed.size} bytes, more than the {most} that are allowed here")
        return signed.content

    async def put(self, uri: str, data: bytes, *, if_absent: bool = False, durable: bool = True) -> None:
        """Store the content in the own store."""
        await self._own.put(uri, data, if_absent=if_absent, durable=durable)

    async def head(self, uri: str) -> ObjectInfo | None:
        """Describe the object, or return None if there is none."""
        cluster = await self.holder(uri)
        if cluster is None:
            return await self._own.head(uri)
        try:
            signed = await self._ask(cluster, link_pb2.SignURL(uri=uri))
        except NotFoundError:
            return None
        return ObjectInfo(uri, signed.size, signed.md5 or None)

    async def delete(self, uri: str) -> None:
        """Remove an object of the own store."""
        await self._own.delete(uri)

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield objects of the own store."""
        return self._own.list(prefix)

    async def sign(self, uri: str, method: Method, expires_in: timedelta, *, md5: bytes | None = None) -> SignedUrl:
        """Return a URL; for what lies in a cluster's store its data plane makes it, and only for reading."""
        cluster = await self.holder(uri) if method == "GET" else None
        if cluster is None:
            return await self._own.sign(uri, method, expires_in, md5=md5)
        question = link_pb2.SignURL(uri=uri)
        question.expires_in.FromTimedelta(expires_in)
        signed = await self._ask(cluster, question)
        return SignedUrl(signed.signed_url, dict(signed.headers))

    async def below(self, uri: str, expires_in: timedelta, limit: int) -> Objects:
        """Return the object of that URI, or those below it, with URLs; empty if there are none.

        `InvalidInputError` if there are more than `limit`.
        """
        cluster = await self.holder(uri)
        if cluster is None:
            return await self._own_below(uri, expires_in, limit)
        question = link_pb2.SignURL(uri=uri, listed=limit)
        question.expires_in.FromTimedelta(expires_in)
        try:
            return [*(await self._ask(cluster, question)).objects]
        except NotFoundError:
            return []

    async def holder(self, uri: str) -> str | None:
        """Return the cluster in whose store the URI lies; None if it is in the own one, or in nobody's."""
        if within(uri, self._own.prefix) or "://" not in uri:
            return None
        found = self._holder(uri)
        if found is None:
            await self._refresh()
            found = self._holder(uri)
        return found

    async def unreadable(self, uris: Collection[str], cluster: str) -> str | None:
        """Return the first of these that the tasks of a cluster cannot read; None if they can read all.

        What is in nobody's store may be anybody's to read.
        """
        foreign = [uri for uri in uris if not within(uri, self._own.prefix)]
        if cluster not in self._prefixes or any(self._holder(uri) is None for uri in foreign):
            await self._refresh()
        own = within(self._prefixes.get(cluster, self._own.prefix), self._own.prefix)
        return next((uri for uri in uris if not self._readable(uri, cluster, own=own)), None)

    def _readable(self, uri: str, cluster: str, *, own: bool) -> bool:
        if within(uri, self._own.prefix):
            return own
        return self._holder(uri) in {None, cluster}

    async def _refresh(self) -> None:
        # Another replica may have learned of a store a moment ago: what is not known is always looked up.
        async with self._database.reading() as tx:
            self._prefixes = await clusters.storage_prefixes(tx)

    def _holder(self, uri: str) -> str | None:
        return next((name for name, prefix in self._prefixes.items() if within(uri, prefix)), None)

    async def _own_below(self, uri: str, expires_in: timedelta, limit: int) -> Objects:
        found = [] if (info := await self._own.head(uri)) is None else [info]
        if not found:
            async for info in self._own.list(f"{uri}/"):
                found.append(info)
                if len(found) > limit:
                    raise InvalidInputError(f"there are more than {limit} objects below {uri}")
        return [
            link_pb2.StagedObject(
                path=info.uri.removeprefix(uri).lstrip("/"),
                signed_url=(await self._own.sign(info.uri, "GET", expires_in)).url,
                size=info.size,
            )
            for info in found
        ]

    async def _ask(self, cluster: str, question: link_pb2.SignURL) -> link_pb2.Signed:
        signed = (await self._questions.one(cluster, link_pb2.ToDataPlane(sign_url=question))).signed
        if signed.code == StatusCode.NOT_FOUND.value[0]:
            raise NotFoundError(signed.message)
        if signed.code == StatusCode.INVALID_ARGUMENT.value[0]:
            raise InvalidInputError(signed.message)
        if signed.code:
            raise UnavailableError(f"cluster {cluster!r}: {signed.message}")
        return signed

"""Signed URLs of this data plane's own store, for clients that ask the control plane."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import grpc

from flyteform.errors import FlyteformError, InvalidInputError, NotFoundError
from flyteform.proto.flyteform.v1.link_pb2 import Signed, SignURL, StagedObject

if TYPE_CHECKING:
    from flyteform.objects.ports import ObjectInfo, ObjectStore

_LARGEST_CONTENT = 16 * 1024 * 1024
_LONGEST = timedelta(hours=12)


async def sign(objects: ObjectStore, question: SignURL) -> Signed:
    """Return the answer; what cannot be signed is said in it, never raised."""
    try:
        return await _sign(objects, question)
    except NotFoundError as error:
        return _refusal(question, grpc.StatusCode.NOT_FOUND, error.message)
    except InvalidInputError as error:
        return _refusal(question, grpc.StatusCode.INVALID_ARGUMENT, error.message)
    except FlyteformError as error:
        return _refusal(question, grpc.StatusCode.UNAVAILABLE, error.message)


async def _sign(objects: ObjectStore, question: SignURL) -> Signed:
    life = min(question.expires_in.ToTimedelta(), _LONGEST)
    info = await objects.head(question.uri)
    answer = Signed(id=question.id)
    if question.listed:
        found = [info] if info is not None else await _below(objects, question.uri, question.listed)
        for one in found:
            answer.objects.append(await _staged(objects, question.uri, one, life))
        return answer
    if info is None:
        raise NotFoundError(f"there is no object {question.uri}")
    answer.size = info.size
    answer.md5 = info.md5 or b""
    if life > timedelta(0):
        signed = await objects.sign(question.uri, "GET", life)
        answer.signed_url = signed.url
        answer.headers.update(signed.headers)
    if info.size <= min(question.content_bytes, _LARGEST_CONTENT):
        answer.content = await objects.get(question.uri, limit=_LARGEST_CONTENT)
    return answer


async def _below(objects: ObjectStore, uri: str, limit: int) -> list[ObjectInfo]:
    found: list[ObjectInfo] = []
    async for info in objects.list(f"{uri}/"):
        found.append(info)
        if len(found) > limit:
            raise InvalidInputError(f"there are more than {limit} objects below {uri}")
    if not found:
        raise NotFoundError(f"there is no object {uri}, nor any below it")
    return found


async def _staged(objects: ObjectStore, uri: str, info: ObjectInfo, life: timedelta) -> StagedObject:
    url = (await objects.sign(info.uri, "GET", life)).url
    return StagedObject(path=info.uri.removeprefix(uri).lstrip("/"), signed_url=url, size=info.size)


def _refusal(question: SignURL, code: grpc.StatusCode, message: str) -> Signed:
    return Signed(id=question.id, code=code.value[0], message=message)

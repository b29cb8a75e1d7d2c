"""The floor of a call, as a program: a grpc.aio server whose one method does nothing. Prints its address."""

from __future__ import annotations

import grpc
import grpc.aio
import uvloop

from benchmarks.controlplane.load import EMPTY


async def _empty(_request: bytes, _context: object) -> bytes:
    return b""


async def _serve() -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    service, method = EMPTY.strip("/").split("/")
    server.add_registered_method_handlers(service, {method: grpc.unary_unary_rpc_method_handler(_empty)})
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(_serve())

"""The embedded data plane: a child process, started again when it dies, ended with everything that it started."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from flyteform_dataplane.engine.graph import Deadlines

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

STOP_SECONDS = 2.0
RESTART_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
STEADY_SECONDS = 30.0


class DataPlaneProcess:
    """Keeps one data-plane process alive for as long as this object is started."""

    def __init__(
        self,
        state_dir: Path,
        *,
        control_plane: str,
        objects: str,
        images: Sequence[str],
        connectors: Sequence[str] = (),
        deadlines: Deadlines | None = None,
        token_file: Path | None = None,
    ) -> None:
        self.arguments = [
            f"--state-dir={state_dir}",
            f"--control-plane={control_plane}",
            f"--objects={objects}",
            f"--parent={os.getpid()}",  # so that it does not outlive a platform that is killed while it starts
            *(f"--image={image}" for image in images),
            *(f"--connector={connector}" for connector in connectors),
            *(f"--{name}-deadline={seconds}" for name, seconds in asdict(deadlines or Deadlines()).items() if seconds),
            *([f"--token-file={token_file}"] if token_file is not None else []),
        ]
        self._process: Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process and watch over it."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep(), name="embedded data plane")

    async def stop(self) -> None:
        """End the process: kindly first, and by force when it has not ended after `STOP_SECONDS`."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            # Its attempts die with it: each has asked the kernel to be killed when its parent ends.
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _spawn(self) -> None:
        # A session of its own: Ctrl-C in the terminal reaches the platform alone, which then ends its parts in order.
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "flyteform_dataplane",
            *self.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while self._process is not None:
            started = loop.time()
            code = await self._process.wait()
            failures = 0 if loop.time() - started > STEADY_SECONDS else failures + 1
            pause = RESTART_SECONDS[min(failures, len(RESTART_SECONDS) - 1)]
            logger.error("the data plane ended with exit code %s; it starts again in %.1f s", code, pause)
            await asyncio.sleep(pause)
            await self._spawn()

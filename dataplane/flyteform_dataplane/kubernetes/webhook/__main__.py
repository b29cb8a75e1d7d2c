"""The webhook's process: `python -m flyteform_dataplane.kubernetes.webhook`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flyteform_dataplane.kubernetes.webhook.global_secrets import GlobalSecrets
from flyteform_dataplane.kubernetes.webhook.injection import KubernetesSecrets
from flyteform_dataplane.kubernetes.webhook.server import Certificate, serving
from flyteform_dataplane.program import log_to_stderr, run

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from flyteform_dataplane.kubernetes.webhook.injection import SecretManager

logger = logging.getLogger(__name__)

_PORTS = 1 << 16


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""

    def begin() -> Coroutine[None, None, None]:
        given = _parser().parse_args(arguments)
        log_to_stderr(given.log_level)
        managers = (GlobalSecrets(given.global_secrets), KubernetesSecrets())
        return _serve(given.host, given.port, Certificate(given.certificate, given.key), managers)

    return run(begin)


async def _serve(host: str, port: int, certificate: Certificate, managers: Sequence[SecretManager]) -> None:
    async with serving(host, port, certificate, managers) as served:
        logger.info("pods get their secrets at port %d", served)
        await asyncio.Event().wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flyteform_dataplane.kubernetes.webhook", description="Gives pods the secrets that their tasks ask for."
    )
    parser.add_argument("--host", default="0.0.0.0", help="where it listens (default: %(default)s)")  # noqa: S104 - the API server comes from outside
    parser.add_argument("--port", type=_port, default=9443)
    parser.add_argument("--certificate", type=Path, required=True, metavar="FILE", help="with its chain, in PEM")
    parser.add_argument("--key", type=Path, required=True, metavar="FILE", help="of the certificate, in PEM")
    parser.add_argument(
        "--global-secrets", type=Path, default=Path("/etc/secrets"), metavar="DIR", help="files for all (%(default)s)"
    )
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    return parser


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number < _PORTS:
        raise argparse.ArgumentTypeError(f"{text} is no port")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

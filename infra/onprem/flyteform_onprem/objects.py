"""Where objects are: an S3 service that is there already, or one in the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from flyteform_onprem import rook, seaweedfs

if TYPE_CHECKING:
    from flyteform_onprem.config import OnPremConfig

_PORTS: Final = {"https": 443, "http": 80}
_REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True)
class Store:
    """An S3 service: address, region, buckets for metadata and raw data, and its namespace if it has one."""

    endpoint: str
    region: str
    buckets: tuple[str, str]
    namespace: str = ""

    @property
    def port(self) -> int:
        """The port that it is served at."""
        split = urlsplit(self.endpoint)
        return split.port or _PORTS[split.scheme]


def store_of(config: OnPremConfig) -> Store:
    """Return the store that the configuration says."""
    s3 = config.onprem.s3
    if s3.external:
        given = s3.external
        return Store(given.endpoint, given.region, (given.metadata, given.raw))
    inside = rook if s3.rook else seaweedfs
    return Store(inside.ENDPOINT, _REGION, seaweedfs.BUCKETS, inside.NAMESPACE)


def inside_buckets(config: OnPremConfig) -> list[str]:
    """Return the buckets that are made in the cluster: those of the platform, and that of the databases' backups."""
    postgres = config.onprem.postgres.cluster
    return [*seaweedfs.BUCKETS, *([postgres.backups] if postgres and postgres.backups else [])]

"""What production must have. Dev and staging may be cheap; what could lose data or stand still is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flyteform_platform.config.common import PlatformConfig

FEWEST_BACKUP_DAYS: Final = 14
ZONES: Final = 3
REPLICAS: Final = 2


def require_production(config: PlatformConfig) -> None:
    """Raise ValueError that names every field which production may not leave as it is."""
    problems = [text for part in (_base, _planes) for text in part(config)]
    if problems:
        raise ValueError("the preset prod needs " + "; ".join(problems))


def _base(config: PlatformConfig) -> list[str]:
    if "base" not in config.roles:
        return []
    database, storage, network = config.database, config.storage, config.network
    rules = {
        "database.highlyAvailable: true": database.highly_available,
        "database.deletionProtection: true": database.deletion_protection,
        f"database.backupDays of at least {FEWEST_BACKUP_DAYS}": database.backup_days >= FEWEST_BACKUP_DAYS,
        "storage.versioning: true": storage.versioning,
        "storage.deletionProtection: true": storage.deletion_protection,
        f"network.zones: {ZONES}": network.zones >= ZONES,
        "network.privateApi: true, or network.administrators": network.private_api or bool(network.administrators),
        "network.flowLogs: true": network.flow_logs,
    }
    return [text for text, holds in rules.items() if not holds]


def _planes(config: PlatformConfig) -> list[str]:
    rules = {"edge.url with https": not config.edge.url.startswith("http:")}
    if "base" in config.roles:
        rules["roles apart: base in a stack without the planes"] = not (
            {"controlplane", "dataplane"} & set(config.roles)
        )
    if "controlplane" in config.roles:
        rules[f"controlplane.replicas.minimum of at least {REPLICAS}"] = (
            config.control_plane.replicas.minimum >= REPLICAS
        )
        rules["controlplane.image by digest (@sha256:…)"] = "@sha256:" in config.control_plane.image
    if "dataplane" in config.roles:
        rules[f"dataplane.replicas of at least {REPLICAS}"] = config.data_plane.replicas >= REPLICAS
        rules["dataplane.image by digest (@sha256:…)"] = "@sha256:" in config.data_plane.image
    return [text for text, holds in rules.items() if not holds]

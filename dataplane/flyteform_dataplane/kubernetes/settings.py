"""The settings of an operator: its command line, and the profile of its cluster from a file."""

from __future__ import annotations

import argparse
import os
import re
import socket
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import TypeAdapter, ValidationError

from flyteform.errors import InvalidInputError
from flyteform_dataplane.connectors.endpoints import Endpoint, parse_endpoint
from flyteform_dataplane.kubernetes.collection import Retention
from flyteform_dataplane.kubernetes.flyteconfig import FlyteConfig
from flyteform_dataplane.kubernetes.limits import RequestLimits
from flyteform_dataplane.kubernetes.profile import PodProfile

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """What an operator needs to know: `objects` is the URI prefix of its cluster's bucket.

    Without a `kubeconfig` it is the service account of its own pod. `token_file` holds the token for a control plane
    that asks for one. Operators with the same `lease` in the same `namespace` share the work; `identity` tells them
    apart. Each makes `kube_api_qps` requests a second at most, once a burst of `kube_api_burst` is used up.
    """

    control_plane: str
    objects: str
    cluster: str
    state_dir: Path
    kubeconfig: Path | None = None
    namespace: str = "flyteform"
    lease: str = "flyteform-operator"
    identity: str = ""
    token_file: Path | None = None
    connectors: tuple[Endpoint, ...] = ()
    profile: PodProfile = field(default_factory=PodProfile)
    kube_api_qps: float = RequestLimits().qps
    kube_api_burst: int = RequestLimits().burst
    retention: Retention = field(default_factory=Retention)
    # Where the kubelet asks after its health; without it nobody does.
    health_port: int | None = None
    # Where executions are, for one whose rights end there; without any, everywhere. More of them may be learned.
    limit_namespaces: tuple[str, ...] = ()
    # Whether it applies what the platform keeps in the cluster: namespaces, quotas, limits, service accounts.
    resource_sync: bool = True
    # Where people see executions: tasks find their node's page in a variable.
    console_url: str = ""
    log_level: str = "INFO"


def parse(arguments: Sequence[str]) -> OperatorSettings:
    """Read the command line and the files that it names; `InvalidInputError` names the field that is wrong."""
    parser = argparse.ArgumentParser(prog="flyteform_dataplane.kubernetes", description="Runs executions as pods.")
    parser.add_argument("--control-plane", required=True, metavar="HOST:PORT")
    parser.add_argument("--objects", required=True, metavar="URI", help="the cluster's own bucket: s3://…")
    parser.add_argument("--cluster", required=True, help="the name under which the control plane knows it")
    parser.add_argument("--state-dir", required=True, type=Path, help="for what connectors' jobs are known by")
    parser.add_argument("--kubeconfig", type=Path, help="without it: this pod's service account")
    parser.add_argument("--namespace", default=_own_namespace(), help="where its lease is (default: its own)")
    parser.add_argument("--lease", default="flyteform-operator", help="operators that share it share the work")
    parser.add_argument("--identity", default=f"{socket.gethostname()}-{os.getpid()}")
    parser.add_argument("--token-file", type=Path, metavar="PATH", help="the token for a control plane with login")
    parser.add_argument("--connector", action="append", default=[], metavar="[TYPE,…=][grpcs://]HOST:PORT")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="what the cluster wants of its pods, in YAML")
    parser.add_argument("--kube-api-qps", type=_positive, default=RequestLimits().qps, metavar="N")
    parser.add_argument("--kube-api-burst", type=int, default=RequestLimits().burst, metavar="N")
    parser.add_argument("--keep-hours", type=_positive, metavar="N", help="how long finished FlyteWorkflows stay (23)")
    parser.add_argument("--keep-count", type=int, metavar="N", help="how many of each shard at most (1000)")
    parser.add_argument("--health-port", type=int, metavar="PORT", help="answers /livez and /readyz there")
    parser.add_argument(
        "--limit-namespace",
        action="append",
        type=_namespace,
        default=[],
        metavar="NAME",
        help="work only there",
    )
    parser.add_argument("--console-url", default="", metavar="URL", help="for tasks' FLYTE_EXECUTION_URL")
    parser.add_argument("--resource-sync", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--log-level", default="INFO", choices=_LEVELS)
    given = vars(parser.parse_args(arguments))
    profile, connectors = given.pop("profile"), given.pop("connector")
    spaces = tuple(given.pop("limit_namespace"))
    age, count = given.pop("keep_hours"), given.pop("keep_count")
    return OperatorSettings(
        **given,
        limit_namespaces=spaces,
        retention=Retention(
            age=Retention().age if age is None else timedelta(hours=age),
            count=Retention().count if count is None else count,
        ),
        connectors=tuple(parse_endpoint(text) for text in connectors),
        profile=_in_namespace(PodProfile() if profile is None else read_profile(profile), given["namespace"]),
    )


def _in_namespace(profile: PodProfile, namespace: str) -> PodProfile:
    return replace(profile, pod_template_namespace=profile.pod_template_namespace or namespace)


def read_profile(path: Path) -> PodProfile:
    """Read a profile; what is left out has its default, what is unknown or wrong is an error with its place.

    It may be a file of a Flyte data plane, whose section `plugins` says the same by Flyte's names.
    """
    try:
        document = yaml.safe_load(path.read_text())
        if isinstance(document, dict) and "plugins" in document:
            return FlyteConfig.model_validate(document).profile()
        return TypeAdapter(PodProfile).validate_python({} if document is None else document)
    except OSError as error:
        raise InvalidInputError(f"the profile {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInputError(f"the profile {path} is no YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "it"
        wrong = "there is no such setting" if first["type"] in _UNKNOWN else first["msg"]
        raise InvalidInputError(f"the profile {path}: {place}: {wrong}") from error


def _positive(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise ValueError(text)
    return number


def _namespace(text: str) -> str:
    if not _NAMESPACE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no namespace")
    return text


def _own_namespace() -> str:
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else "flyteform"

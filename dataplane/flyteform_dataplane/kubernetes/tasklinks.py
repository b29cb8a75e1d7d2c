"""The links to logs that follow from a task: filled in when its pod is made, and kept in an annotation of that.

A task chooses links of its cluster by its setting `link_type` (`vscode,…`), and says by other settings what is in them
(`{{ .taskConfig.port }}`). Whoever sees the pod later does not have the task any more.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flyteidl.core.tasks_pb2 import TaskTemplate

    from flyteform_dataplane.kubernetes.profile import LogLink, PodProfile

LINKS_ANNOTATION = "flyteform.dev/log-links"
_LINK_TYPE = "link_type"
_OF_TASKS = re.compile(r"\{\{\s*[.$]\s*(?P<name>taskID|taskVersion|taskProject|taskDomain)\s*\}\}", re.IGNORECASE)
_SETTING = re.compile(r"\{\{\s*\.taskConfig[.$](?P<name>[a-zA-Z_]+)\s*\}\}", re.IGNORECASE)
_UNSEEN = re.compile(r"[\x00-\x20\x7f]")
_ON_THE_WEB = ("https://", "http://")

Pair = tuple[str, str]


def links_of(task: TaskTemplate, profile: PodProfile) -> str:
    """Return what the annotation says: empty where the cluster's own templates serve this task as they are."""
    common = list(pairs(profile.log_links))
    found = [(_filled(name, task), _filled(uri, task)) for name, uri in common]
    for chosen in filter(None, task.config.get(_LINK_TYPE, "").split(",")):
        if (link := profile.dynamic_log_links.get(chosen)) is not None:
            found += _chosen(link, task)
    return "" if found == common else json.dumps(found, separators=(",", ":"))


def pairs(links: Iterable[LogLink]) -> Iterator[Pair]:
    """Yield each template of an address with the name of what is there."""
    return ((link.display_name, uri) for link in links for uri in link.template_uris)


def read_links(annotation: str) -> list[Pair]:
    """Return what `links_of` made; ValueError for anything else."""
    try:
        return [(str(name), str(uri)) for name, uri in json.loads(annotation)]
    except TypeError as error:
        raise ValueError(annotation) from error


def _chosen(link: LogLink, task: TaskTemplate) -> Iterator[Pair]:
    """Yield the links of one type. A task's words must not make something else of an address than one on the web."""
    for name, template in pairs([link]):
        uri = _SETTING.sub(lambda found: _UNSEEN.sub("", task.config.get(found["name"], found[0])), template)
        if uri == template or uri.startswith(_ON_THE_WEB):
            yield name, _filled(uri, task)


def _filled(template: str, task: TaskTemplate) -> str:
    said = {
        "taskid": task.id.name,
        "taskversion": task.id.version,
        "taskproject": task.id.project,
        "taskdomain": task.id.domain,
    }
    return _OF_TASKS.sub(lambda found: said[found["name"].lower()], template)

"""`python -m tools.kubernetes up|status|down|exec|build`: a real cluster for tests, from start to end."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tools.kubernetes import control_plane, images, kwok, machine, node, packages, toolchain
from tools.kubernetes.builds import KUBE, PROGRAMS, built, is_built
from tools.kubernetes.definitions import definitions as others_definitions
from tools.kubernetes.network import make_network, remove_network
from tools.kubernetes.pki import make_pki
from tools.kubernetes.processes import Processes, entered, started
from tools.kubernetes.settings import CACHE, Cluster, ClusterError, Mode

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOOK = 0.5  # seconds
_DEFAULT_RUN = Path(".cluster/main")
# Where `make compat` puts the stock SDK, unless it is told otherwise.
_STOCK = Path(os.environ.get("FLYTEFORM_FLYTEKIT") or CACHE.parent / "flytekit-1.16.31")
# Where the programs of the network are, which are on root's path only.
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def main() -> int:
    """Carry out one command; 1 if it fails, with one message that says why."""
    arguments = _parser().parse_args()
    os.environ["PATH"] = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SBIN))
    try:
        return int(arguments.command(arguments) or 0)
    except ClusterError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


def up(arguments: argparse.Namespace) -> None:
    """Start the cluster, or what of it does not run; the last line is the kubeconfig's path."""
    began = time.monotonic()
    run: Path = arguments.run
    run.mkdir(parents=True, exist_ok=True)
    try:
        cluster = Cluster.read(run.resolve())
    except ClusterError:
        cluster = Cluster.new(run, Mode(arguments.mode))
    if cluster.mode is Mode.FULL:
        machine.prepare(cluster.run)
    kube = built(KUBE)
    cluster.write()
    _link_kubectl(cluster, kube)
    make_pki(cluster)
    if cluster.mode is Mode.FULL:
        make_network(cluster)
    processes = Processes(cluster)
    control_plane.start_control_plane(cluster, processes, kube)
    if cluster.mode is Mode.FULL:
        node.start_node(cluster, processes, kube)
        for archive in arguments.image:
            node.import_archive(cluster, archive)
        if wanted := tuple(_images(arguments)):
            node.import_image(cluster, *wanted)
    if arguments.simulate:
        kwok.start_nodes(cluster, processes, kube, arguments.simulate)
    print(f"the cluster runs after {time.monotonic() - began:.1f} s; its kubeconfig:")
    print(cluster.kubeconfig)


def _link_kubectl(cluster: Cluster, kube: Path) -> None:
    cluster.programs.mkdir(exist_ok=True)
    if not (cluster.programs / "kubectl").exists():
        (cluster.programs / "kubectl").symlink_to(kube)


def _images(arguments: argparse.Namespace) -> Iterator[images.Image]:
    if arguments.python:
        yield images.python_image(arguments.python)
    if arguments.task:
        yield packages.task_image(arguments.task)
    if arguments.example:
        yield packages.task_image(arguments.example, packages.OF_THE_EXAMPLE)
    if arguments.operator:
        yield packages.operator_image(arguments.operator)
    if arguments.stock:
        yield packages.stock_image(arguments.stock, _STOCK)


def status(arguments: argparse.Namespace) -> int:
    """Say what runs; 1 if something of it does not."""
    cluster = Cluster.read(arguments.run.resolve())
    processes = Processes(cluster)
    simulated = (kwok.NAME,) if kwok.NAME in processes.names() else ()
    names = [*control_plane.NAMES, *(node.NAMES if cluster.mode is Mode.FULL else ()), *simulated]
    for name in names:
        print(f"{name:24} {'runs' if processes.running(name) else 'does not run'}")
    print(f"{'kubeconfig':24} {cluster.kubeconfig}")
    return int(not all(map(processes.running, names)))


def down(arguments: argparse.Namespace) -> None:
    """End all that `up` started and remove its folder; nothing to do is fine too."""
    run: Path = arguments.run.resolve()
    try:
        cluster = Cluster.read(run)
        if arguments.after:
            _wait_for_end(arguments.after, cluster)
            if Cluster.read(run) != cluster:
                return  # it has gone, and another one runs here
    except ClusterError:
        return
    processes = Processes(cluster)
    full = cluster.mode is Mode.FULL
    for name in reversed(processes.names()):
        if name == "containerd":
            node.clean_node(cluster)
        processes.stop(name)
    if full:
        node.release_node(cluster)
        remove_network(cluster)
    shutil.rmtree(run)


def _wait_for_end(pid: int, cluster: Cluster) -> None:
    """Wait for the end of a process; ends itself as soon as the cluster is not there any more."""
    began = started(pid)
    print(f"the cluster in {cluster.run} ends after process {pid}", flush=True)
    while began and started(pid) == began and Cluster.read(cluster.run) == cluster:
        time.sleep(_LOOK)


def stop(arguments: argparse.Namespace) -> None:
    """End one program of the cluster; `up` starts it again."""
    processes = Processes(Cluster.read(arguments.run.resolve()))
    if not processes.running(arguments.name):
        raise ClusterError(f"{arguments.name} does not run; there are {', '.join(processes.names()) or 'none'}")
    processes.stop(arguments.name)


def execute(arguments: argparse.Namespace) -> None:
    """Run a command where the cluster is: in its network, with KUBECONFIG and its kubectl on PATH."""
    cluster = Cluster.read(arguments.run.resolve())
    if not arguments.arguments:
        raise ClusterError("exec what? For example: make cluster ARGS='exec kubectl get pods -A'")
    os.environ["KUBECONFIG"] = str(cluster.kubeconfig)
    os.environ["PATH"] = f"{cluster.programs}{os.pathsep}{os.environ['PATH']}"
    command = [*map(str, entered(cluster, arguments.arguments))]
    sys.stdout.flush()
    try:
        os.execvp(command[0], command)  # noqa: S606 - the command that the caller names
    except OSError as error:
        raise ClusterError(f"{command[0]}: {error.strerror}") from error


def possible(arguments: argparse.Namespace) -> None:
    """Have what a cluster of this mode needs on this machine, or say what is missing."""
    if Mode(arguments.mode) is Mode.FULL:
        machine.prepare(arguments.run.resolve())
    for program in PROGRAMS:
        if not is_built(program):
            toolchain.go(program.sources)


def build(_: argparse.Namespace) -> None:
    """Build all programs and fetch all definitions, so that later on nothing has to be fetched."""
    for program in PROGRAMS:
        print(built(program))
    print(f"{len(others_definitions())} definitions of others' resources")


def definitions(_: argparse.Namespace) -> None:
    """Print the files of definitions that others maintain, one a line."""
    print(*others_definitions(), sep="\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.kubernetes", description=__doc__)
    parser.add_argument("--run", type=Path, default=_DEFAULT_RUN, help="the cluster's folder (default: %(default)s)")
    commands = parser.add_subparsers(required=True)
    for command in (up, status, down, stop, build, possible, definitions):
        added = commands.add_parser(command.__name__, help=command.__doc__)
        added.set_defaults(command=command)
        if command in (up, possible):
            added.add_argument("--mode", choices=[mode.value for mode in Mode], default=Mode.FULL.value)
        if command is up:
            added.add_argument("--simulate", type=int, default=0, metavar="N", help="N nodes whose pods do nothing")
            added.add_argument("--image", type=Path, action="append", default=[], help="an archive to give the node")
            added.add_argument("--python", metavar="NAME", help="give the node an image with this machine's Python")
            added.add_argument("--task", metavar="NAME", help="give the node an image that runs tasks of this checkout")
            added.add_argument("--example", metavar="NAME", help="the same, with what the example project needs")
            added.add_argument("--operator", metavar="NAME", help="give the node an image with its data plane")
            added.add_argument("--stock", metavar="NAME", help="give the node an image that runs tasks of flytekit")
        if command is down:
            added.add_argument("--after", type=int, metavar="PID", help="when this process has ended, however it does")
        if command is stop:
            added.add_argument("name", help="as `status` names it")
    added = commands.add_parser("exec", help=execute.__doc__)
    added.set_defaults(command=execute)
    added.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser


if __name__ == "__main__":
    sys.exit(main())

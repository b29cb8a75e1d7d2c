"""What is written down of a cluster, and where one can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tools.kubernetes.pki import make_pki
from tools.kubernetes.settings import Cluster, ClusterError, Mode

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("mode", Mode)
def test_a_cluster_is_found_again(tmp_path_factory: pytest.TempPathFactory, mode: Mode) -> None:
    """What is read is what was written, and no two clusters have the same network or ports."""
    run = tmp_path_factory.mktemp("run")
    cluster, other = Cluster.new(run, mode), Cluster.new(run / "b", mode)
    cluster.write()
    assert Cluster.read(run) == cluster
    assert cluster.namespace != other.namespace or mode is Mode.CONTROL
    assert len({cluster.api_port, cluster.etcd_port, cluster.peer_port, other.api_port, other.etcd_port}) == 5


def test_a_folder_without_a_cluster(tmp_path: Path) -> None:
    """The error says what to do."""
    with pytest.raises(ClusterError, match=r"no cluster was started in .*make cluster ARGS=up"):
        Cluster.read(tmp_path)


def test_a_folder_whose_name_is_too_long_for_sockets(tmp_path: Path) -> None:
    """Only programs of nodes have sockets there."""
    deep = tmp_path / ("x" * 70)
    with pytest.raises(ClusterError, match="too long"):
        Cluster.new(deep, Mode.FULL)
    assert Cluster.new(deep, Mode.CONTROL)


def test_certificates_are_made_once_and_all_of_them(tmp_path: Path) -> None:
    """A start that was broken off while it made them makes them again; the next one leaves them."""
    cluster = Cluster.new(tmp_path, Mode.CONTROL)
    make_pki(cluster)
    (tmp_path / "kubelet.kubeconfig").unlink()
    (tmp_path / "pki" / "service-account.key").unlink()
    make_pki(cluster)
    key = (tmp_path / "pki" / "service-account.key").read_bytes()
    make_pki(cluster)
    assert (tmp_path / "pki" / "service-account.key").read_bytes() == key
    assert cluster.kubeconfig.exists()

"""One certificate authority for a cluster, a client certificate for each of its parts, and their kubeconfigs."""

from __future__ import annotations

import base64
import ipaddress
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tools.kubernetes.settings import Cluster

_VALID = timedelta(days=365)
_PRIVATE = 0o600
# Who connects to the API server by a kubeconfig: file name → user, group.
_USERS = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", "system:kube-controller-manager"),
    "scheduler": ("system:kube-scheduler", "system:kube-scheduler"),
    "proxy": ("system:kube-proxy", "system:node-proxier"),
}
_LAST = "kubelet"  # whose kubeconfig is the last of all files


def make_pki(cluster: Cluster) -> None:
    """Write certificates and keys to `pki/` and kubeconfigs beside it, unless they are there."""
    folder = cluster.run / "pki"
    if _kubeconfig(cluster, _LAST).exists():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _Authority(folder)
    names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    names += ["kubernetes.default.svc.cluster.local"]
    addresses = ["127.0.0.1", cluster.api_ip, cluster.service_ip]
    authority.issue("apiserver", "kube-apiserver", "k8s", names, addresses)
    authority.issue("apiserver-kubelet", "apiserver-kubelet", "system:masters")
    authority.issue(
        "kubelet", f"system:node:{cluster.node}", "system:nodes", [cluster.node], ["127.0.0.1", cluster.bridge_ip]
    )
    for name, (user, group) in _USERS.items():
        authority.issue(name, user, group)
    _write_service_account_key(folder)
    for name in (*_USERS, _LAST):
        _write_kubeconfig(cluster, name)


class _Authority:
    """Issues certificates; its own key is written too, as the controller manager signs requests with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("test-cluster-ca", None)
        extensions: list[x509.ExtensionType] = [x509.BasicConstraints(ca=True, path_length=None), _usage(ca=True)]
        self._write("ca", self._key, self._sign(self._name, self._key, extensions))

    def issue(self, file: str, user: str, group: str, names: Sequence[str] = (), addresses: Sequence[str] = ()) -> None:
        """Write `<file>.crt` and `<file>.key` for both ends of a connection."""
        key = ec.generate_private_key(ec.SECP256R1())
        both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
        extensions: list[x509.ExtensionType] = [_usage(ca=False), both]
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in dict.fromkeys(addresses)]
        if alternatives:
            extensions.append(x509.SubjectAlternativeName(alternatives))
        self._write(file, key, self._sign(_name(user, group), key, extensions))

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extensions: Sequence[x509.ExtensionType]
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(issuer_name=self._name, subject_name=subject, public_key=key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(minutes=5)).not_valid_after(now + _VALID)
        # Python from 3.13 on accepts none without these.
        identifiers: list[x509.ExtensionType] = [
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
        ]
        for extension in (*extensions, *identifiers):
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, file: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        _write_private(self._folder / f"{file}.key", _pem(key))
        (self._folder / f"{file}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _name(user: str, group: str | None) -> x509.Name:
    groups = [] if group is None else [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _write_private(path: Path, data: bytes) -> None:
    path.touch(mode=_PRIVATE)
    path.write_bytes(data)


def _write_service_account_key(folder: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write_private(folder / "service-account.key", _pem(key))
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "service-account.pub").write_bytes(public)


def _kubeconfig(cluster: Cluster, name: str) -> Path:
    return cluster.run / f"{name}.kubeconfig"


def _write_kubeconfig(cluster: Cluster, name: str) -> None:
    folder = cluster.run / "pki"

    def encoded(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    server = {"server": f"https://{cluster.api_ip}:{cluster.api_port}", "certificate-authority-data": encoded("ca.crt")}
    user = {"client-certificate-data": encoded(f"{name}.crt"), "client-key-data": encoded(f"{name}.key")}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": server}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
        "current-context": "test",
    }
    # JSON is YAML: kubectl and the client libraries read it.
    _write_private(_kubeconfig(cluster, name), json.dumps(document, indent=1).encode())

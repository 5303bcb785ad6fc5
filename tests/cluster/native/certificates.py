"""The cluster's throw-away certificates, and the kubeconfig files that carry them."""

from __future__ import annotations

import base64
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE = timedelta(days=30)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority of this run only."""

    def __init__(self, directory: Path, server: str) -> None:
        self.directory = directory
        self._server = server
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("jobyard-tests")
        certificate = self._build(self._name, self._key.public_key(), authority=True)
        self.certificate = directory / "ca.crt"
        self._pem = certificate.public_bytes(serialization.Encoding.PEM)
        self.certificate.write_bytes(self._pem)

    def issue(self, file: str, common_name: str, groups: tuple[str, ...] = (), hosts: tuple[str, ...] = ()) -> Pair:
        """A certificate for a client, and for a server where `hosts` says which names and addresses it has."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._build(_name(common_name, groups), key.public_key(), hosts=hosts)
        pair = Pair(self.directory / f"{file}.crt", self.directory / f"{file}.key")
        pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(_private(key))
        return pair

    def kubeconfig(self, file: str, user: Pair | None = None, *, token: str = "") -> Path:
        """The file by which a client reaches the API server, with a certificate or a token."""
        secret = (
            {"token": token}
            if user is None
            else {
                "client-certificate-data": _base64(user.certificate.read_bytes()),
                "client-key-data": _base64(user.key.read_bytes()),
            }
        )
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "jobyard-tests",
                    "cluster": {"server": self._server, "certificate-authority-data": _base64(self._pem)},
                }
            ],
            "users": [{"name": file, "user": secret}],
            "contexts": [{"name": "jobyard-tests", "context": {"cluster": "jobyard-tests", "user": file}}],
            "current-context": "jobyard-tests",
        }
        path = self.directory / f"{file}.kubeconfig"
        path.write_text(yaml.safe_dump(content))
        path.chmod(0o600)
        return path

    def _build(
        self,
        subject: x509.Name,
        public_key: ec.EllipticCurvePublicKey,
        *,
        authority: bool = False,
        hosts: tuple[str, ...] = (),
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + _LIFE)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            uses = [ExtendedKeyUsageOID.CLIENT_AUTH] + ([ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [])
            builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_host(one) for one in hosts]), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def service_account_keys(directory: Path) -> Pair:
    """The pair with which the API server signs the tokens of service accounts."""
    key = rsa.generate_private_key(65537, 2048)
    pair = Pair(directory / "service-accounts.pub", directory / "service-accounts.key")
    pair.certificate.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    pair.key.write_bytes(_private(key))
    return pair


def _private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _name(common_name: str, groups: tuple[str, ...] = ()) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()

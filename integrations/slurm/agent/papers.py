"""Certificates and the request key for one agent and one portal, made once by `init`."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["make"]

YEARS = 3


def make(folder: Path, *, host: str, client: str) -> list[Path]:
    """Write ``agent/`` (for the agent's machine) and ``portal/`` (for the portal's) below `folder`.

    The authority's key is thrown away once both certificates are signed: nobody can make a third. Raises
    FileExistsError where something lies already.
    """
    now = dt.datetime.now(dt.UTC)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("gongxiang agent", authority_key.public_key(), None, authority_key, now, [])
    request_key = Ed25519PrivateKey.generate()
    written: list[Path] = []
    for side, name, purpose in (
        ("agent", host, ExtendedKeyUsageOID.SERVER_AUTH),
        ("portal", client, ExtendedKeyUsageOID.CLIENT_AUTH),
    ):
        (folder / side).mkdir(mode=0o700, parents=True)
        key = ec.generate_private_key(ec.SECP256R1())
        extensions: list[x509.ExtensionType] = [
            x509.ExtendedKeyUsage([purpose]),
            x509.SubjectAlternativeName([_name(name)]),
        ]
        certificate = _certificate(name, key.public_key(), authority, authority_key, now, extensions)
        written += [
            _write(folder / side / "certificate.pem", _pem(certificate)),
            _write(folder / side / "key.pem", _private(key)),
            _write(folder / side / "authority.pem", _pem(authority)),
        ]
    public = request_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return [
        *written,
        _write(folder / "agent" / "requests.pub", public),
        _write(folder / "portal" / "requests.key", _private(request_key)),
    ]


def _certificate(  # noqa: PLR0917 - who, by whom, when
    name: str,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
    extensions: list[x509.ExtensionType],
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=0 if issuer is None else None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
    )
    if issuer is None:
        usage = dict.fromkeys(
            ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "encipher_only", "decipher_only"), False,
        )  # fmt: skip
        builder = builder.add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), True)
    for extension in extensions:
        builder = builder.add_extension(extension, False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes) -> Path:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    return path

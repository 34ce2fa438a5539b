"""A private CA and a server certificate for machines that were given none."""

import ipaddress
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from scripts.serving.addresses import LOOPBACK_OF_WILDCARD

LIFETIME = timedelta(days=825)
RENEW_BEFORE_END = timedelta(days=30)
CLOCK_TOLERANCE = timedelta(hours=1)


@dataclass(frozen=True)
class TlsFiles:
    """PEM files of the scoring server; `ca_file` None when the certificate is somebody else's."""

    certificate_file: Path
    key_file: Path
    ca_file: Path | None


def ensure_certificate(folder: Path, host: str, more: Iterable[str] = ()) -> TlsFiles:
    """The certificate in `folder` (ca.pem, server.pem, server.key), made anew unless it still holds.

    It holds when it names every name of this server, fits its key and CA, and has 30 days to run. The CA's
    own key is not kept: a new certificate is a new CA file, and nobody can sign with a stolen one.
    """
    files = TlsFiles(folder / "server.pem", folder / "server.key", folder / "ca.pem")
    names = server_names(host, more)
    if not still_holds(files, names):
        folder.mkdir(parents=True, exist_ok=True)
        make_certificate(files, names)
    return files


def server_names(host: str, more: Iterable[str] = ()) -> list[str]:
    """Names and addresses under which this server is called, `more` being those that the machine does not know of."""
    own = ["localhost", "127.0.0.1", "::1", socket.gethostname()]
    return list(dict.fromkeys([*own, *([] if host in LOOPBACK_OF_WILDCARD else [host]), *more]))


def still_holds(files: TlsFiles, names: Iterable[str]) -> bool:
    """Whether the files are there, belong together, cover `names` and do not end soon."""
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate_file.read_bytes())
        authority = x509.load_pem_x509_certificate(files.ca_file.read_bytes())
        key = serialization.load_pem_private_key(files.key_file.read_bytes(), password=None)
        certificate.verify_directly_issued_by(authority)
        covered = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    now = datetime.now(timezone.utc)
    return (
        certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - RENEW_BEFORE_END
        and certificate.public_key() == key.public_key()
        and all(general_name(name) in covered for name in names)
    )


def make_certificate(files: TlsFiles, names: list[str]) -> None:
    """Writes a new CA, and a P-256 key (mode 0600) with its certificate for `names`."""
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = distinguished_name(f"customer-labels model server CA {x509.random_serial_number():x}"[:64])
    authority = (
        unsigned(issuer, issuer, authority_key.public_key(), authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        unsigned(distinguished_name(names[0]), issuer, server_key.public_key(), authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([general_name(name) for name in names]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    write_private(files.key_file, server_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption(),
    ))
    files.certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.ca_file.write_bytes(authority.public_bytes(serialization.Encoding.PEM))


def unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, issuer_key: ec.EllipticCurvePublicKey,
) -> x509.CertificateBuilder:
    """What the CA and the server certificate have in common."""
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def key_usage(**allowed: bool) -> x509.KeyUsage:
    """A key usage extension with only the named uses."""
    uses = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
            "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**(dict.fromkeys(uses, False) | allowed))


def distinguished_name(common_name: str) -> x509.Name:
    """A name that is only a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def general_name(name: str) -> x509.GeneralName:
    """An address or a DNS name as a certificate writes it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def write_private(path: Path, content: bytes) -> None:
    """A file that only its owner reads, from its first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)

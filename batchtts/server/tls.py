"""What a server shows to those who come by `wss://`."""

from __future__ import annotations

import ssl
from pathlib import Path

from batchtts.errors import UsageError


def read(certificate: Path | None, private_key: Path | None) -> ssl.SSLContext | None:
    """Return what to serve with; None without a certificate.

    Args:
        certificate: PEM; those of its issuers may follow it.
        private_key: PEM, not encrypted.

    Raises:
        UsageError: One is missing, cannot be read, or does not go with the other.
    """
    if certificate is None and private_key is None:
        return None
    if certificate is None or private_key is None:
        missing = "--certificate" if certificate is None else "--private-key"
        raise UsageError(
            f"{missing} is missing", hint="TLS takes a certificate and its private key"
        )
    for path in (certificate, private_key):
        _check(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, private_key, password=_no_password)
    except _Encrypted:
        raise UsageError(
            f"{private_key}: the key is encrypted",
            hint=f"openssl pkey -in {private_key} -out plain.pem decrypts it",
        ) from None
    except ssl.SSLError as error:
        raise UsageError(_explain(error, certificate, private_key)) from None
    return context


class _Encrypted(ValueError):
    """Somebody would have to type a password."""


def _no_password() -> str:
    raise _Encrypted


def _check(path: Path) -> None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise UsageError(f"{path}: {(error.strerror or str(error)).lower()}") from None


def _explain(error: ssl.SSLError, certificate: Path, private_key: Path) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"{private_key} is not the key of {certificate}"
    reason = (error.reason or "").replace("_", " ").lower()
    why = f" ({reason})" if reason else ""
    if b"PRIVATE KEY-----" not in private_key.read_bytes():
        return f"{private_key}: no private key in PEM{why}"
    return f"{certificate}: no certificate in PEM{why}"

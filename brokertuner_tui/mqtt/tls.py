"""TLS as our clients use it: one context for probes, `$SYS` and the load, and one clear line for each way it can fail.

How to use it: `context = client_context(endpoint.tls)` once, then for each connection `context.wrap_socket(sock,
server_hostname=endpoint.host, do_handshake_on_connect=False)` (or `wrap_bio`): where `tls.server_name` is set, it takes the
host's place by itself. What `do_handshake`, and with TLS 1.3 also the first `recv`, raises is put into words by
`tls_failure`: a broker that wants a certificate says so only after our side of the handshake is done.
"""

from __future__ import annotations

import os
import ssl
import stat
from functools import lru_cache
from pathlib import Path
from typing import Any

from brokertuner_tui.errors import UsageError
from brokertuner_tui.mqtt.endpoint import Tls

# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_NOT_YET, _EXPIRED, _SELF_SIGNED, _SELF_SIGNED_IN_CHAIN, _NO_ISSUER, _NO_FIRST = 9, 10, 18, 19, 20, 21
_OTHER_NAME, _OTHER_ADDRESS = 62, 64
_UNKNOWN_CA = (_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN, _NO_ISSUER, _NO_FIRST)
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_MESSAGE", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")


class TlsFileError(UsageError):
    """A certificate or key cannot be used; the message names the setting, the file and what is wrong with it."""

    def __init__(self, setting: str, path: Path, wrong: str) -> None:
        super().__init__(f"broker.{setting} {path}: {wrong}")


class _Encrypted(Exception):
    """OpenSSL asked for a key's passphrase."""


class _Context(ssl.SSLContext):
    """Puts the name that was configured in the place of the host's."""

    expected_name: str | None = None

    def wrap_socket(self, *args: Any, **named: Any) -> ssl.SSLSocket:
        return super().wrap_socket(*args, **self._named(named))

    def wrap_bio(self, *args: Any, **named: Any) -> ssl.SSLObject:
        return super().wrap_bio(*args, **self._named(named))

    def _named(self, named: dict[str, Any]) -> dict[str, Any]:
        return named | {"server_hostname": self.expected_name} if self.expected_name else named


def client_context(tls: Tls) -> ssl.SSLContext:
    """A context for connections as `tls` says: TLS 1.2 and later, certificate and name always checked.

    The same context as long as `tls` and the files are the same: it may be shared by threads, and must not be changed.

    Raises:
        TlsFileError: a file is missing, not readable, not PEM, or encrypted, others can read the key, or it does not belong to
            the certificate.
    """
    return _context(tls, tuple(_stamp(name, getattr(tls, name)) for name in ("ca_file", "cert_file", "key_file")))


def _stamp(setting: str, path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
    except OSError as error:
        raise TlsFileError(setting, path, f"cannot be read: {error.strerror or error}") from None
    if setting == "key_file" and status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
        raise TlsFileError(setting, path, f"others can read or write it: chmod 600 {path}")
    return status.st_ino, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=8)
def _context(tls: Tls, _stamps: tuple[object, ...]) -> ssl.SSLContext:
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)  # this protocol checks certificates and names
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.expected_name = tls.server_name
    if tls.ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        try:
            context.load_verify_locations(tls.ca_file)
        except (ssl.SSLError, OSError) as error:
            raise TlsFileError("ca_file", tls.ca_file, _unusable(error, "certificate")) from None
    if tls.cert_file is not None:
        _load_identity(context, tls.cert_file, tls.key_file)
    return context


def _load_identity(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    def passphrase() -> str:
        raise _Encrypted

    try:
        context.load_cert_chain(cert_file, key_file, passphrase)
    except _Encrypted:
        wrong = "is encrypted; give a key without a passphrase, in a file that only you can read"
        raise TlsFileError("key_file", key_file or cert_file, wrong) from None
    except (ssl.SSLError, OSError) as error:
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            wrong = f"does not belong to the certificate in broker.cert_file {cert_file}"
            raise TlsFileError("key_file", key_file or cert_file, wrong) from None
        if _has(cert_file, b"CERTIFICATE-----"):
            raise TlsFileError("key_file", key_file or cert_file, _unusable(error, "private key")) from None
        raise TlsFileError("cert_file", cert_file, _unusable(error, "certificate")) from None


def _has(path: Path, word: bytes) -> bool:
    try:
        return word in path.read_bytes()[: 2**20]
    except OSError:
        return False


def _unusable(error: OSError, what: str) -> str:
    if isinstance(error, ssl.SSLError):
        return f"holds no usable {what} in PEM form"
    return f"cannot be read: {error.strerror or error}"


def tls_failure(error: OSError, expected_name: str) -> str:
    """Why a TLS connection failed, in one line for the operator.

    Args:
        expected_name: what the certificate should have named: `tls.server_name`, else the host.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error, expected_name)
    reason = str(getattr(error, "reason", None) or "")
    if reason in _NO_TLS:
        return "the port does not speak TLS"
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return "the broker wants a client certificate (broker.cert_file and broker.key_file), or shares no cipher with us"
    if "ALERT" in reason and any(word in reason for word in ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")):
        return f"the broker does not accept our certificate (broker.cert_file): {_plain(reason)}"
    if "PROTOCOL_VERSION" in reason or reason == "UNSUPPORTED_PROTOCOL":
        return "the broker offers no TLS 1.2 or later"
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return "the broker closed the connection in the TLS handshake (does the port speak TLS?)"
    return f"TLS failed: {_plain(reason) or error.strerror or error}"


def _untrusted(error: ssl.SSLCertVerificationError, expected_name: str) -> str:
    code = error.verify_code
    if code == _EXPIRED:
        return "the broker's certificate has expired"
    if code == _NOT_YET:
        return "the broker's certificate is not valid yet (is this machine's clock right?)"
    if code in (_OTHER_NAME, _OTHER_ADDRESS):
        return f"the broker's certificate is not for {expected_name} (broker.tls_name says which name to expect)"
    if code in _UNKNOWN_CA:
        return "the broker's certificate is signed by nobody that we trust (broker.ca_file says whom to trust)"
    return f"the broker's certificate is not accepted: {error.verify_message}"


def _plain(reason: str) -> str:
    """`TLSV1_ALERT_UNKNOWN_CA` as `unknown ca`."""
    return reason.rpartition("ALERT_")[2].replace("_", " ").lower()

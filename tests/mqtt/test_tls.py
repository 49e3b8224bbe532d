"""Certificates and keys that cannot be used: one line each, with the setting and the file."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from brokertuner_tui.errors import ExitCode
from brokertuner_tui.mqtt.endpoint import Tls
from brokertuner_tui.mqtt.tls import TlsFileError, client_context
from tests.broker.secure import Authority, write_key


@pytest.fixture
def good(tmp_path: Path) -> Tls:
    """Files that fit together."""
    authority = Authority(tmp_path)
    mine = authority.issue("mine")
    return Tls(authority.ca_file, mine.cert_file, mine.key_file)


def test_what_fits(good: Tls) -> None:
    for tls in (Tls(), good, replace(good, cert_file=None, key_file=None)):
        context = client_context(tls)
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert client_context(tls) is context


def test_new_files_are_read(good: Tls) -> None:
    old = client_context(good)
    assert good.ca_file is not None
    assert good.ca_file.parent is not None
    Authority(good.ca_file.parent)  # under the same name
    assert client_context(good) is not old


def test_key_and_certificate_in_one_file(good: Tls) -> None:
    assert good.cert_file is not None
    assert good.key_file is not None
    both = good.key_file
    both.write_bytes(good.key_file.read_bytes() + good.cert_file.read_bytes())
    client_context(replace(good, cert_file=both, key_file=both))


def _missing(path: Path) -> None:
    path.unlink()


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _no_pem(path: Path) -> None:
    path.write_text("-----BEGIN NOTHING-----\n")


def _empty(path: Path) -> None:
    path.write_text("")


def _for_all(path: Path) -> None:
    path.chmod(0o644)


def _of_somebody_else(path: Path) -> None:
    write_key(path, ec.generate_private_key(ec.SECP256R1()))


def _encrypted(path: Path) -> None:
    write_key(path, ec.generate_private_key(ec.SECP256R1()), b"open sesame")


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        ("ca_file", _missing, "cannot be read: No such file or directory"),
        ("cert_file", _missing, "cannot be read: No such file or directory"),
        ("key_file", _missing, "cannot be read: No such file or directory"),
        ("ca_file", _folder, "cannot be read: Is a directory"),
        ("ca_file", _no_pem, "holds no usable certificate in PEM form"),
        ("ca_file", _empty, "holds no usable certificate in PEM form"),
        ("cert_file", _no_pem, "holds no usable certificate in PEM form"),
        ("key_file", _no_pem, "holds no usable private key in PEM form"),
        ("key_file", _for_all, "others can read or write it: chmod 600 {path}"),
        ("key_file", _of_somebody_else, "does not belong to the certificate in broker.cert_file {cert}"),
        ("key_file", _encrypted, "is encrypted; give a key without a passphrase, in a file that only you can read"),
    ],
)  # fmt: skip
def test_one_line(good: Tls, name: str, spoil: Callable[[Path], None], said: str) -> None:
    path = getattr(good, name)
    spoil(path)
    with pytest.raises(TlsFileError) as raised:
        client_context(good)
    assert str(raised.value) == f"broker.{name} {path}: {said.format(path=path, cert=good.cert_file)}"
    assert raised.value.exit_code is ExitCode.USAGE

"""Served over TLS, on every interface."""

from __future__ import annotations

import http.client
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from brokertuner_tui.errors import UsageError
from brokertuner_tui.service.server import check_certificate
from tests.broker.secure import Authority, write_key
from tests.service.conftest import Serve


def test_it_is_served_and_plain_text_is_not(serve: Serve, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    identity = authority.issue("agent", names=("127.0.0.1",))
    client = serve(host="0.0.0.0", tls_cert=identity.cert_file, tls_key=identity.key_file)
    assert client.url.startswith("https://")
    secure = replace(client, tls=ssl.create_default_context(cafile=authority.ca_file))
    answer = secure.get("/state")
    assert answer.status == 200
    assert answer.headers["strict-transport-security"]
    assert secure.apply(max_inflight_messages=30).status == 200
    assert secure.get("/state", Host="attacker.example").status == 400
    assert secure.get("/state", Origin=f"http://127.0.0.1:{client.port}").status == 403
    with pytest.raises((OSError, http.client.HTTPException)):
        client.get("/state")
    stranger = replace(client, tls=ssl.create_default_context())
    with pytest.raises(ssl.SSLCertVerificationError):
        stranger.get("/healthz")


def test_keys_that_do_not_fit_or_are_locked(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, two = authority.issue("one"), authority.issue("two")
    check_certificate(one.cert_file, one.key_file)
    with pytest.raises(UsageError, match="do not fit"):
        check_certificate(one.cert_file, two.key_file)
    from cryptography.hazmat.primitives.asymmetric import ec

    locked = tmp_path / "locked.key"
    write_key(locked, ec.generate_private_key(ec.SECP256R1()), b"passphrase")
    with pytest.raises(UsageError, match="passphrase"):
        check_certificate(one.cert_file, locked)

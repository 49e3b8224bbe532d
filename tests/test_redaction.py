"""Secrets are hidden, and nothing else."""

from __future__ import annotations

import pytest

from brokertuner_tui import redaction
from brokertuner_tui.redaction import hide, without_secrets


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_hidden", set())


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("postgresql://me:hunter2@host/db is away", "postgresql://me:***@host/db is away"),
        ("mqtts://:p@ss:word@host:8883", "mqtts://:***@host:8883"),
        ("connect(password='hunter2', port=1)", "connect(password=***, port=1)"),
        ("{'password': 'hunter2'}", "{'password': ***}"),
        ('{"api_key":"hunter2"}', '{"api_key":***}'),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=*** psql"),
        ("?token=abc&x=1", "?token=***&x=1"),
        ("Authorization: Bearer abcdefgh.ijkl-mn_op", "Authorization: Bearer ***"),
    ],
)
def test_what_is_hidden(text: str, clean: str) -> None:
    assert without_secrets(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8080/broker",
        "/run/secrets/password: cannot be read: Permission denied",
        "broker.password_file = /run/secrets/password",
        "the token file /home/me/token can be read by others: chmod 600 /home/me/token",
        "mail me@example.org at 10:30",
        "max_inflight_messages = 20",
    ],
)
def test_what_is_not(text: str) -> None:
    assert without_secrets(text) == text


def test_a_secret_that_was_read_is_hidden_wherever_it_is() -> None:
    hide("open sesame")
    hide("abc")  # in half of all words
    assert without_secrets("CONNECT user=me pass: open sesame abc") == "CONNECT user=me pass: *** abc"

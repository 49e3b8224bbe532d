"""How `[broker]` becomes an endpoint, and that the password is nowhere else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from brokertuner_tui.config.credentials import PASSWORD_VARIABLE, endpoint_of
from brokertuner_tui.config.load import load_settings
from brokertuner_tui.config.settings import BrokerSettings
from brokertuner_tui.errors import ConfigError, ExitCode, UsageError
from brokertuner_tui.mqtt.endpoint import Endpoint, Tls

SECRET = "hunter2 hunter2"


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    """A good password file."""
    path = tmp_path / "password"
    path.touch(mode=0o600)
    path.write_text(f"{SECRET}\nthe second line is a remark\n")
    return path


def made(environ: dict[str, str] | None = None, **settings: Any) -> Endpoint:
    """From settings."""
    return endpoint_of(BrokerSettings(**settings), environ=environ or {})


def test_the_defaults() -> None:
    assert made() == Endpoint("127.0.0.1", 1883)
    assert made(protocol="3.1.1").protocol == 4


@pytest.mark.parametrize(
    ("settings", "port"),
    [
        ({}, 1883),
        ({"tls": True}, 8883),
        ({"transport": "websockets"}, 9001),
        ({"transport": "websockets", "tls": True}, 9001),
        ({"port": 1884, "tls": True}, 1884),
    ],
)
def test_the_usual_ports(settings: dict[str, Any], port: int) -> None:
    assert made(**settings).port == port
    assert endpoint_of(BrokerSettings(**settings), port=77, environ={}).port == 77


def test_everything(tmp_path: Path, secret_file: Path) -> None:
    files: dict[str, Any] = {name: tmp_path / name for name in ("ca_file", "cert_file", "key_file")}
    endpoint = made(
        host="broker.example", port=1, transport="websockets", ws_path="/x", username="me", password_file=secret_file,
        tls=True, tls_name="other.example", **files,
    )  # fmt: skip
    tls = Tls(files["ca_file"], files["cert_file"], files["key_file"], "other.example")
    assert endpoint == Endpoint("broker.example", 1, 5, "websockets", "/x", tls, "me", SECRET)
    assert Endpoint.from_dict(endpoint.as_dict()) == endpoint


def test_the_password_is_shown_nowhere(secret_file: Path) -> None:
    settings = BrokerSettings(username="me", password_file=secret_file)
    for endpoint in (endpoint_of(settings, environ={}), made({PASSWORD_VARIABLE: SECRET}, username="me")):
        assert endpoint.password == SECRET
        assert "hunter2" not in f"{endpoint} {endpoint!r} {settings!r} {settings.model_dump()}"


def test_the_variable_is_no_setting(tmp_path: Path) -> None:
    loaded = load_settings(environ={PASSWORD_VARIABLE: SECRET}, cwd=tmp_path)
    assert "hunter2" not in repr(loaded)
    loaded = load_settings(environ={"BROKERTUNER_BROKER_PASSWORD_FILE": "p"}, cwd=tmp_path)
    assert loaded.settings.broker.password_file == tmp_path / "p"


@pytest.mark.parametrize("line", ['[broker]\npassword = "hunter2"', '[broker]\nPassphrase = "hunter2"', 'password = "hunter2"'])
def test_a_password_in_the_config_is_refused_and_not_repeated(tmp_path: Path, line: str) -> None:
    (tmp_path / "brokertuner.toml").write_text(line)
    with pytest.raises(ConfigError) as raised:
        load_settings(environ={}, cwd=tmp_path)
    assert "hunter2" not in f"{raised.value} {raised.value!r} {raised.value.value!r}"
    assert "password_file" in str(raised.value)


def test_a_misspelt_variable_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load_settings(environ={"BROKERTUNER_PASSWORD": "hunter2"}, cwd=tmp_path)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "password"),
    [("a\n", "a"), ("a", "a"), ("a\r\nb", "a"), (" a \n", " a "), ("ü\n", "ü"), ("a" * 65_535 + "\n", "a" * 65_535)],
    ids=range(6),
)
def test_first_lines(secret_file: Path, content: str, password: str) -> None:
    secret_file.write_bytes(content.encode())
    assert made(username="me", password_file=secret_file).password == password


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "its first line is empty"),
        (b"\nsecret\n", "its first line is empty"),
        (b"\xff\n", "its first line is not UTF-8 text"),
        (b"a" * 65_536 + b"\n", "its first line is longer than 65535 bytes"),
    ],
    ids=range(4),
)
def test_files_that_hold_no_password(secret_file: Path, content: bytes, said: str) -> None:
    secret_file.write_bytes(content)
    with pytest.raises(UsageError) as raised:
        made(username="me", password_file=secret_file)
    assert str(raised.value) == f"broker.password_file {secret_file}: {said}"


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o666])
def test_a_file_for_all_is_refused(secret_file: Path, mode: int) -> None:
    secret_file.chmod(mode)
    with pytest.raises(UsageError) as raised:
        made(username="me", password_file=secret_file)
    assert str(raised.value) == f"broker.password_file {secret_file}: others can read or write it: chmod 600 {secret_file}"
    assert raised.value.exit_code is ExitCode.USAGE
    secret_file.chmod(0o640)
    assert made(username="me", password_file=secret_file).password == SECRET


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name, said in (
        ("missing", "cannot be read: No such file or directory"),
        ("pipe", "is not a file"),
        (".", "is not a file"),
    ):
        with pytest.raises(UsageError, match=said):
            made(username="me", password_file=tmp_path / name)


@pytest.mark.parametrize(
    ("environ", "settings", "said"),
    [
        ({}, {"ca_file": "x"}, "broker.ca_file = 'x': is for broker.tls = true"),
        ({}, {"tls_name": "x"}, "broker.tls_name = 'x': is for broker.tls = true"),
        ({}, {"cert_file": "x", "key_file": "y"}, "broker.cert_file = 'x': is for broker.tls = true"),
        ({}, {"tls": True, "cert_file": "x"}, "broker.cert_file = 'x': needs broker.key_file"),
        ({}, {"tls": True, "key_file": "x"}, "broker.key_file = 'x': needs broker.cert_file"),
        ({PASSWORD_VARIABLE: SECRET}, {"protocol": "3.1.1"}, "a password without broker.username"),
        ({PASSWORD_VARIABLE: "a" * 65_536}, {"username": "me"}, "BROKERTUNER_BROKER_PASSWORD: is longer than 65535 bytes"),
        (
            {PASSWORD_VARIABLE: SECRET},
            {"password_file": "/p"},
            "from broker.password_file /p or from BROKERTUNER_BROKER_PASSWORD",
        ),
    ],
    ids=range(8),
)
def test_contradictions(environ: dict[str, str], settings: dict[str, Any], said: str) -> None:
    settings = {name: Path(value) if name.endswith("_file") else value for name, value in settings.items()}
    with pytest.raises(UsageError) as raised:
        made(environ, **settings)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_password_alone() -> None:
    assert made({PASSWORD_VARIABLE: SECRET}).password == SECRET
    assert made({PASSWORD_VARIABLE: ""}).password is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", "a b"), ("host", ""), ("host", "[::1]"), ("host", "me@there"), ("ws_path", "mqtt"), ("ws_path", "/a b"),
        ("ws_path", "/a\r\nX: y"), ("username", "a\nb"), ("username", ""), ("tls_name", "a/b"), ("protocol", "4"),
        ("transport", "udp"),
    ],
)  # fmt: skip
def test_values_that_mean_something_else(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"broker.{name}"):
        load_settings(environ={}, cwd=tmp_path, overrides={f"broker.{name}": value})

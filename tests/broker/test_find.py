"""Which Mosquitto is run, and what is said when there is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from brokertuner_tui.broker import find
from brokertuner_tui.broker.find import find_mosquitto, how_to_get, probe_version
from brokertuner_tui.errors import TunerError, UsageError


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with nothing on it; programs can be put into the folder."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(find, "_SYSTEM_FOLDERS", (str(tmp_path / "sbin"),))
    monkeypatch.setattr(find, "mosquitto_dir", lambda: tmp_path / "data" / "mosquitto")
    monkeypatch.delenv("BROKERTUNER_MOSQUITTO_DIR", raising=False)
    return tmp_path


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_the_order(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = program(bare / "data" / "mosquitto" / "mosquitto")
    assert find_mosquitto() == private
    named = program(bare / "named" / "mosquitto")
    monkeypatch.setenv("BROKERTUNER_MOSQUITTO_DIR", str(bare / "named"))
    assert find_mosquitto() == named
    system = program(bare / "sbin" / "mosquitto")
    assert find_mosquitto() == system
    first = program(bare / "bin" / "mosquitto")
    assert find_mosquitto() == first
    given = program(bare / "given")
    assert find_mosquitto(given) == given


def test_a_relative_path_stays_right(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = program(bare / "given")
    monkeypatch.chdir(bare)
    assert find_mosquitto(Path("given")) == given


def test_none(bare: Path) -> None:
    with pytest.raises(TunerError, match="no Mosquitto was found; install"):
        find_mosquitto()
    (bare / "bin" / "mosquitto").mkdir()
    with pytest.raises(TunerError, match="no Mosquitto"):
        find_mosquitto()


@pytest.mark.parametrize(
    ("manager", "platform", "command"),
    [
        ("apt-get", "linux", "sudo apt-get install mosquitto"),
        ("dnf", "linux", "sudo dnf install mosquitto"),
        ("apk", "linux", "sudo apk add mosquitto"),
        ("pacman", "linux", "sudo pacman -S mosquitto"),
        ("brew", "darwin", "brew install mosquitto"),
        ("nothing", "linux", "https://mosquitto.org/download/"),
    ],
)
def test_how_to_get_one(bare: Path, monkeypatch: pytest.MonkeyPatch, manager: str, platform: str, command: str) -> None:
    program(bare / "bin" / manager)
    monkeypatch.setattr(find.sys, "platform", platform)  # type: ignore[attr-defined]
    assert command in how_to_get()
    assert "--mosquitto PATH" in how_to_get()


def test_given_ones_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("")
    for path, said in (
        (tmp_path / "nothing", "no such file"),
        (tmp_path, "is a folder"),
        (tmp_path / "text", "not executable"),
    ):
        with pytest.raises(UsageError, match=said) as raised:
            find_mosquitto(path)
        assert str(path) in str(raised.value)


def test_versions(every_mosquitto: Path) -> None:
    version = probe_version(every_mosquitto)
    assert (2, 0, 0) <= version < (3, 0, 0)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("#!/bin/sh\necho hello\n", "is not Mosquitto: -h says 'hello'"),
        ("#!/bin/sh\necho oops >&2; exit 1\n", "is not Mosquitto: -h says 'oops'"),
        ("#!/bin/sh\n", "is not Mosquitto: -h says ''"),
        ("#!/bin/sh\necho mosquitto version\n", "is not Mosquitto"),
        ("#!/bin/sh\necho mosquitto version 1.6.12\n", "is Mosquitto 1.6.12: 2.0 or later is needed"),
        ("#!/bin/sh\nprintf 'mosquitto \\377\\376'\n", "is not Mosquitto"),
        ("#!/no/such/shell\n", "cannot be run: No such file"),
        ("\x7fELF", "cannot be run: Exec format error"),
    ],
)
def test_programs_that_are_not_mosquitto(tmp_path: Path, script: str, said: str) -> None:
    path = program(tmp_path / "program", script)
    with pytest.raises(TunerError) as raised:
        probe_version(path)
    assert said in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_real_program_that_is_another() -> None:
    path = shutil.which("true")
    assert path is not None
    with pytest.raises(TunerError, match="is not Mosquitto"):
        probe_version(Path(path))

"""The token's file: made for its owner alone, refused where others could read it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from brokertuner_tui.errors import TunerError, UsageError
from brokertuner_tui.service import token


def test_it_is_made_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a" / "token"
    made, new = token.read_or_make(path)
    assert new
    assert len(base64.urlsafe_b64decode(made + "=")) >= token.MIN_BYTES
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert token.read_or_make(path) == (made, False)
    assert token.read(path) == made
    assert token.read_or_make(tmp_path / "b")[0] != made


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o644])
def test_one_that_others_can_read_is_refused_with_the_command(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    path.write_text("x" * 43)
    path.chmod(mode)
    with pytest.raises(UsageError, match=rf"chmod 600 {path}"):
        token.read_or_make(path)
    assert path.read_text() == "x" * 43


@pytest.mark.parametrize(
    "text", ["", "\n", "short", "x" * 31, "two words of some length in all here", "x" * 5000, "ü" * 40, "a\nb" * 20]
)
def test_one_that_is_no_token_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(UsageError, match="token file"):
        token.read_or_make(path)
    assert path.read_text() == text


def test_one_that_cannot_be_read_or_made(tmp_path: Path) -> None:
    with pytest.raises(TunerError, match=r"cannot be read|not a file"):
        token.read_or_make(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(TunerError):
        token.read_or_make(tmp_path / "file" / "token")
    with pytest.raises(UsageError, match="no token file"):
        token.read(tmp_path / "missing")

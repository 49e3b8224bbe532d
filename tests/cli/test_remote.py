"""`train --broker URL`: what is wrong is one line and an exit code, before anything is left on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from brokertuner_tui.errors import ExitCode
from tests.cli.program import error_of, run


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text("s3cret-" * 5)
    (tmp_path / "brokertuner.toml").write_text('[broker]\ntoken_file = "token"\n[tuning]\nstart_attempts = 1\n')
    return path


@pytest.mark.parametrize(
    ("url", "mode", "code", "says"),
    [
        ("http://127.0.0.1:1", 0o600, ExitCode.CONNECTION, "http://127.0.0.1:1 cannot be reached"),
        ("http://127.0.0.1:1", 0o644, ExitCode.USAGE, "others can read"),
        ("http://192.0.2.1:8080", 0o600, ExitCode.USAGE, "must be https"),
        ("https://host:no-port", 0o600, ExitCode.USAGE, "must be like https://host:8080"),
    ],
)
def test_wrong_from_the_start(tmp_path: Path, token: Path, url: str, mode: int, code: ExitCode, says: str) -> None:
    token.chmod(mode)
    ended = run(tmp_path, "train", "--broker", url, "--save-dir", "s")
    assert ended.returncode == code
    assert says in ended.stderr
    assert "s3cret" not in ended.stderr
    assert says in error_of(ended).splitlines()[0]
    assert not (tmp_path / "s").exists()

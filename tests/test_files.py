"""A file is replaced whole or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from brokertuner_tui.files import remove_leftovers, replace_file


def test_new_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    replace_file(path, b"one")
    assert path.read_bytes() == b"one"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    replace_file(path, b"two" * 100_000, mode=0o644)
    assert path.read_bytes() == b"two" * 100_000
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["a.conf"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    replace_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        replace_file(tmp_path / "file" / "below", b"x")
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "missing" / "below", b"x")


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands for the full disk: the write fails half way."""
    (tmp_path / "a").write_text("old")
    script = (
        "import resource, signal, sys; from pathlib import Path; from brokertuner_tui.files import replace_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: replace_file(Path(sys.argv[1]), b'x' * 100_000)\n"
        "except OSError: sys.exit(7)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a")], timeout=60, check=False)
    assert ended.returncode == 7
    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_what_a_killed_write_has_left_goes_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    replace_file(path, b"whole")
    left = tmp_path / ".a.conf.x1y2.new"
    left.write_bytes(b"ha")
    kept = [tmp_path / name for name in ("b.conf", ".b.conf.x1.new", ".a.conf.x1.old", "a.conf.new")]
    for other in kept:
        other.write_bytes(b"mine")
    remove_leftovers(path)
    assert not left.exists()
    assert path.read_bytes() == b"whole"
    assert all(other.exists() for other in kept)
    remove_leftovers(tmp_path / "no folder" / "c")

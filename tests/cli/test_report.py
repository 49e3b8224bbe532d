"""`report` writes a page, or says in one line why it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.program import error_of, run
from tests.cli.test_runs import _fill
from tests.html.reading import read_page


def test_a_page(tmp_path: Path) -> None:
    old, new = _fill(tmp_path / "s")
    (tmp_path / "run.html").write_text("an older page")
    ended = run(tmp_path, "report", old[:13], "--html", "run.html", "--save-dir", "s")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "wrote run.html\n")
    page = read_page((tmp_path / "run.html").read_text())
    assert old in page.all("p", "sub")[0].text
    ended = run(tmp_path, "report", old, "--html", "-", "--save-dir", "s")
    assert ended.stdout == (tmp_path / "run.html").read_text()
    ended = run(tmp_path, "report", "latest", "--html", "x.html", "--save-dir", "s")
    assert ended.returncode == 2
    assert error_of(ended) == f"run {new} has no trial: there is nothing to report"
    assert not (tmp_path / "x.html").exists()


@pytest.mark.parametrize(
    ("key", "file", "code", "said"),
    [
        ("nosuch", "x.html", 2, "no run 'nosuch' in "),
        ("2026", "x.html", 2, "more than one run begins with '2026'"),
        ("OLD", "missing/x.html", 1, "cannot write missing/x.html: No such file"),
        ("OLD", "s", 2, "s is a folder"),
    ],
)
def test_what_cannot_be(tmp_path: Path, key: str, file: str, code: int, said: str) -> None:
    old, new = _fill(tmp_path / "s")
    ended = run(tmp_path, "report", old if key == "OLD" else key, "--html", file, "--save-dir", "s")
    assert ended.returncode == code
    error = error_of(ended)
    assert said in error
    if key != "OLD":
        assert old in error  # the ones that there are
        assert new in error


def test_without_a_store(tmp_path: Path) -> None:
    ended = run(tmp_path, "report", "latest", "--html", "x.html", "--save-dir", "s")
    assert ended.returncode == 2
    assert "there is no store at" in error_of(ended)
    ended = run(tmp_path, "report", "latest", "--save-dir", "s")
    assert ended.returncode == 2
    assert "--html" in error_of(ended)

"""`runs`, `paths` and `config show` where the store is on a server."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from brokertuner_tui.config.load import load_settings
from brokertuner_tui.errors import ConfigError
from brokertuner_tui.store.place import Server
from brokertuner_tui.store.store import Store
from tests.cli.program import error_of, run
from tests.postgres import Postgres
from tests.store import made


@pytest.fixture
def home(tmp_path: Path, database: str) -> Path:
    """A folder with a config that names an empty database."""
    (tmp_path / "brokertuner.toml").write_text(f'[store]\nurl = "{database}"\nsave_dir = "s"\n')
    return tmp_path


def _fill(home: Path, url: str) -> str:
    with Store.open(Server(url, home / "s" / "spool.db")) as store:
        key = store.create_run(made.run_info())
        store.record_trial(key, made.trial(1), broker_restarts=1, workload_restarts=0)
        store.record_confirmation(key, made.confirmed(), [("best", made.window())])
        store.finish_run(key, made.finished(key))
    return key


def test_runs_are_read_from_the_server(home: Path, database: str) -> None:
    key = _fill(home, database)
    with Store.open(Server(database, home / "s" / "spool.db")):  # a session is at it
        ended = run(home, "runs", "list", "--json")
        assert (ended.returncode, ended.stderr) == (0, "")
        assert [(row["run"], row["state"], row["trials"]) for row in json.loads(ended.stdout)] == [(key, "completed", 1)]
        shown = json.loads(run(home, "runs", "show", "last", "--json").stdout)
        assert shown["run"] == key
        ended = run(home, "runs", "export", key[:12], "--conf", "a.conf", "--csv", "a.csv", "--json", "a.json")
        assert (ended.returncode, ended.stderr.count("error")) == (0, 0)
    assert "max_inflight_messages 2000" in (home / "a.conf").read_text()
    with open(home / "a.csv", newline="") as file:
        assert [row["trial"] for row in csv.DictReader(file)] == ["1"]
    assert json.loads((home / "a.json").read_text())["run"] == key


def test_nothing_yet_and_paths_and_settings(home: Path, database: str) -> None:
    ended = run(home, "runs", "list", "--json")
    assert (ended.returncode, ended.stdout) == (0, "[]\n")
    assert f"no runs in {database}" in run(home, "runs", "list").stderr
    assert database in error_of(run(home, "runs", "show", "last"))
    found = json.loads(run(home, "paths", "--json").stdout)
    assert (found["store"], found["spool"]) == (database, str(home / "s" / "spool.db"))
    assert database in "".join(run(home, "paths").stdout.split())
    assert json.loads(run(home, "config", "show", "--json").stdout)["settings"]["store.url"]["value"] == database


def test_a_server_that_is_away_is_one_line(home: Path, postgres: Postgres) -> None:
    closed = "postgresql://tuner@127.0.0.1:1/runs"
    for words in (["runs", "list"], ["runs", "show", "last"], ["runs", "export", "last", "--conf", "-"]):
        ended = run(home, *words, more={"BROKERTUNER_STORE_URL": closed})
        assert ended.returncode == 3
        assert closed in error_of(ended)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://tuner:s3cret@db/runs",
        "postgresql://:s3cret@db/runs",
        "postgresql://db/runs?password=s3cret",
        "postgresql://tuner:s3c/r@et:s3cret@db/runs",
    ],
)
def test_a_password_in_a_url_is_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    (tmp_path / "brokertuner.toml").write_text(f'[store]\nurl = "{url}"\n')
    with pytest.raises(ConfigError) as error:
        load_settings(environ={}, cwd=tmp_path)
    said = str(error.value)
    assert "store.url" in said
    assert "without a password: see password_file" in said
    assert "s3c" not in said


@pytest.mark.parametrize("url", ["mysql://tuner@db/runs", "postgresql://db", "postgresql://db:port/runs", "store.db", ""])
def test_another_url_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"must be a URL such as postgresql://USER@HOST:5432/DATABASE"):
        load_settings(environ={"BROKERTUNER_STORE_URL": url or " "}, cwd=tmp_path)

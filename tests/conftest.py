"""Fixtures that many packages share: which Mosquitto to test against, and that nothing is left running."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.postgres import Postgres, programs


def _candidates() -> dict[str, Path]:
    """Every Mosquitto at hand, by a name for the test's id.

    `BROKERTUNER_TEST_MOSQUITTO` lists programs (separated by colons); `./test` sets it to the versions that it could get.
    """
    listed = [Path(part) for part in os.environ.get("BROKERTUNER_TEST_MOSQUITTO", "").split(":") if part]
    if not listed:
        found = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        listed = [Path(found)] if found else []
    return {path.parent.name: path for path in listed if path.exists()}


CANDIDATES = _candidates()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs a test that asks for `every_mosquitto` once per version."""
    if "every_mosquitto" in metafunc.fixturenames:
        # None at hand: the test shall fail, not be skipped unseen.
        found = CANDIDATES or {"none-at-hand": Path("no-mosquitto-run-./test-which-gets-one")}
        metafunc.parametrize("every_mosquitto", found.values(), ids=found.keys())


@pytest.fixture(scope="session")
def mosquitto() -> Path:
    """A Mosquitto to test against (the first at hand)."""
    assert CANDIDATES, "no Mosquitto at hand: run ./test, which gets one"
    return next(iter(CANDIDATES.values()))


@pytest.fixture(scope="session")
def mosquitto_2_0_21() -> Path:
    """The version that the headline figures are quoted for; the first at hand where it is missing."""
    assert CANDIDATES, "no Mosquitto at hand: run ./test, which gets one"
    return CANDIDATES.get("trixie", next(iter(CANDIDATES.values())))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of this worker's own; a test that kills it starts it again."""
    folder = programs()
    if folder is None:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql (.ci/run does)")
    server = Postgres(folder)
    yield server
    server.close()


@pytest.fixture
def database(postgres: Postgres) -> str:
    """The URL of an empty database."""
    return postgres.new_database()


@pytest.fixture(scope="session", autouse=True)
def own_state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What a tuner keeps of its children and of operators' files lies in a folder of this worker's own."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("XDG_STATE_HOME", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def no_children_left() -> Iterator[None]:
    """Fails a test that leaves a child process running (the reaper, which ends with us, aside)."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    left = []
    for child in psutil.Process().children(recursive=True):
        try:
            if (
                child.pid not in before
                and child.status() != psutil.STATUS_ZOMBIE
                and "reaper.py" not in " ".join(child.cmdline())
            ):
                left.append(child)
        except psutil.NoSuchProcess:
            continue
    for child in left:
        child.kill()
    assert not left, f"left running: {left}"

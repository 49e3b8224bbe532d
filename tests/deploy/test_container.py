"""What runs in the containers, with real processes and without an engine; and the compose file."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from brokertuner_tui.broker.external import ExternalBroker
from brokertuner_tui.broker.kinds import make_broker
from brokertuner_tui.broker.ports import free_port
from brokertuner_tui.config.load import load_settings

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "container"


class Container:
    """What the Mosquitto container runs, in a folder of the test instead of /mosquitto."""

    def __init__(self, mosquitto: Path, folder: Path) -> None:
        self.folder = folder
        self.port = free_port("127.0.0.1")
        for name in ("config", "data", "log"):
            (folder / name).mkdir()
        self.conf = folder / "config" / "mosquitto.conf"
        user = "user root\n" if os.geteuid() == 0 else ""  # else it gives up root for somebody who may not come in here
        self.conf.write_text(self.here((FOLDER / "mosquitto.conf").read_text()) + user)
        path = f"{mosquitto.parent}{os.pathsep}{os.environ['PATH']}"
        self.loop = subprocess.Popen(
            [FOLDER / "mosquitto-loop", self.conf],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PATH": path},
        )

    def here(self, text: str) -> str:
        """The same on this machine: the folder, and a port that is free."""
        return text.replace("/mosquitto/", f"{self.folder}/").replace("1883", str(self.port))

    def broker(self) -> psutil.Process | None:
        """The Mosquitto that runs now."""
        for child in psutil.Process(self.loop.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if "mosquitto -c " in " ".join(child.cmdline()):
                    return child
        return None

    def wait_for(self, wanted: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 30
        while not (found := wanted()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return found


@pytest.fixture
def container(mosquitto: Path, tmp_path: Path) -> Iterator[Container]:
    (tmp_path / "mosquitto").mkdir()
    made = Container(mosquitto, tmp_path / "mosquitto")
    yield made
    if made.loop.poll() is None:
        made.loop.terminate()
    made.loop.wait(20)


def test_a_mosquitto_that_ends_is_started_again(container: Container) -> None:
    first = container.wait_for(container.broker)
    first.terminate()
    container.wait_for(lambda: (now := container.broker()) is not None and now.pid != first.pid)


def test_the_loop_ends_with_its_mosquitto(container: Container) -> None:
    broker = container.wait_for(container.broker)
    container.loop.send_signal(signal.SIGTERM)
    assert container.loop.wait(20) == 0
    assert not broker.is_running()


def test_the_agents_settings_tune_it(container: Container, tmp_path: Path) -> None:
    """Reload and restart by the commands of the file, verified, and the file that was there before is back in the end."""
    container.wait_for(container.broker)
    text = container.here((FOLDER / "brokertuner.toml").read_text())
    # On this machine there are other Mosquittos; in the container there is one.
    parent = f'"-P", "{container.loop.pid}"'
    text = text.replace('["restart-mosquitto"]', f'["{FOLDER}/restart-mosquitto", {parent}]')
    text = text.replace('["pkill",', f'["pkill", {parent},').replace('["pgrep",', f'["pgrep", {parent},')
    (tmp_path / "brokertuner.toml").write_text(text)
    settings = load_settings(config_file=tmp_path / "brokertuner.toml", environ={}, cwd=tmp_path).settings
    there = make_broker(settings.broker, tmp_path / "run")
    assert isinstance(there, ExternalBroker)
    try:
        baseline = there.baseline
        started = there.start(baseline)
        reloaded = there.apply(baseline | {"message_size_limit": 100_000})
        assert (reloaded.how, reloaded.pid) == ("reload", started.pid)
        restarted = there.apply(baseline | {"max_inflight_messages": 33})
        assert restarted.how == "restart"
        assert restarted.pid != started.pid
        assert "Receive Maximum 33" in restarted.checks
    finally:
        there.stop()
    again = make_broker(settings.broker, tmp_path / "run")
    assert isinstance(again, ExternalBroker)
    again.restore()
    assert not (container.folder / "config" / "conf.d" / "broker_tuner.conf").exists()


def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    assert isinstance(loaded, dict)
    return loaded


def test_every_service_is_watched_and_logs_and_names_its_version() -> None:
    for name, service in compose()["services"].items():
        assert service["healthcheck"]["test"], name
        assert service["logging"]["options"]["max-size"], name
        assert service["restart"] == "unless-stopped", name
        assert ":?" in service["image"], f"{name}: a tag has to be named"
    tags = (FOLDER / "tags.env").read_text()
    assert "BROKERTUNER_PREVIOUS_TAG=" in tags


def test_what_the_services_mount_is_there() -> None:
    for service in compose()["services"].values():
        for mount in service["volumes"]:
            source = mount.partition(":")[0]
            if source.startswith("./") and source != "./tls":  # the operator's own
                assert (FOLDER / source).is_file(), source


@pytest.mark.skipif(not shutil.which("docker-compose"), reason="docker-compose is not installed")
def test_docker_compose_takes_it() -> None:
    told = subprocess.run(
        ["docker-compose", "--env-file", "tags.env", "-f", "compose.yaml", "config", "-q"],
        cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr


def test_the_image_has_what_it_copies() -> None:
    root = FOLDER.parents[1]
    for line in (FOLDER / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (root / source).exists(), source

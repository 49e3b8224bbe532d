"""The systemd kind on a real systemd with Debian's mosquitto.service. Runs inside the box (`tests/broker/test_systemd.py`)."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from brokertuner_tui.broker.external import ExternalBroker
from brokertuner_tui.broker.external_checks import NotReady
from brokertuner_tui.broker.interface import ApplyFailed, BrokerDrifted, BrokerStopped
from brokertuner_tui.broker.systemd import SystemdService, polkit_rule
from brokertuner_tui.knobs.catalogue import defaults
from brokertuner_tui.mqtt.endpoint import Endpoint
from tests.waiting import eventually

UNIT = "mosquitto.service"
MAIN = Path("/etc/mosquitto/mosquitto.conf")
KNOBS = Path("/etc/mosquitto/conf.d/broker_tuner.conf")
DROP_IN = Path(f"/etc/systemd/system/{UNIT}.d/test.conf")
RULE = Path("/etc/polkit-1/rules.d/50-brokertuner.rules")
BASELINE = defaults((2, 0, 11)) | {"persistence": True}  # Debian's own file switches it on
USER = "tuner"

assert os.environ.get("BROKERTUNER_TEST_IN_BOX"), "these tests change the machine that they run on: they belong into the box"


def systemctl(*arguments: str) -> str:
    return subprocess.run(["systemctl", *arguments], check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def main_pid() -> int:
    return int(systemctl("show", "--property=MainPID", "--value", UNIT))


def drop_in(text: str) -> None:
    """Changes the unit."""
    DROP_IN.parent.mkdir(exist_ok=True)
    DROP_IN.write_text(text)
    systemctl("daemon-reload")


@pytest.fixture(autouse=True)
def debians_own() -> Iterator[None]:
    """The unit and its config as Debian ships them, running."""
    main = MAIN.read_bytes()
    yield
    MAIN.write_bytes(main)
    for path in (KNOBS, RULE, DROP_IN):
        path.unlink(missing_ok=True)
    systemctl("daemon-reload")
    subprocess.run(["systemctl", "reset-failed", UNIT], check=False, capture_output=True)
    systemctl("restart", UNIT)
    subprocess.run(["systemctl", "reset-failed", UNIT], check=False, capture_output=True)


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., ExternalBroker]]:
    made: list[ExternalBroker] = []

    def make(unit: str = UNIT, **options: Any) -> ExternalBroker:
        def endpoint(host: str | None, port: int | None) -> Endpoint:
            return Endpoint(host or "127.0.0.1", port or 1883)

        made.append(ExternalBroker(SystemdService(unit), tmp_path / "originals", endpoint, **options))
        return made[-1]

    yield make
    for broker in made:
        broker.stop()


def as_user(code: str) -> subprocess.CompletedProcess[str]:
    """Runs Python as a user without rights; `broker` is there."""
    prelude = f"""
import sys, tempfile
from pathlib import Path
from brokertuner_tui.broker.external import ExternalBroker
from brokertuner_tui.broker.systemd import SystemdService
from brokertuner_tui.mqtt.endpoint import Endpoint
broker = ExternalBroker(SystemdService("{UNIT}"), Path(tempfile.mkdtemp()), lambda h, p: Endpoint(h or "127.0.0.1", p or 1883))
"""
    return subprocess.run(
        ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", sys.executable, "-B", "-c", prelude + code],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_whole_life(make_broker: Callable[..., ExternalBroker]) -> None:
    broker = make_broker()
    assert broker.problems() == []
    assert (broker.version, broker.endpoint.port, broker.baseline) == ((2, 0, 11), 1883, BASELINE)
    started = broker.start(BASELINE)
    reloaded = broker.apply(BASELINE | {"message_size_limit": 5000})
    assert (reloaded.how, reloaded.pid) == ("reload", started.pid)
    restarted = broker.apply(BASELINE | {"max_inflight_messages": 7})
    assert (restarted.how, restarted.pid) == ("restart", main_pid())
    assert {f"process {main_pid()}", "port 1883 owned", "CONNACK", "Receive Maximum 7", "round trip", "log"} <= set(
        restarted.checks
    )
    broker.stop()
    assert main_pid() == restarted.pid
    assert make_broker().restore().how == "restart"
    assert not KNOBS.exists()
    assert systemctl("is-active", UNIT) == "active"


def test_a_unit_that_does_not_exist(make_broker: Callable[..., ExternalBroker]) -> None:
    with pytest.raises(NotReady, match=r"there is no unit no-such\.service; mend it with: systemctl list-unit-files"):
        make_broker("no-such").start(BASELINE)


def test_a_unit_that_does_not_run(make_broker: Callable[..., ExternalBroker]) -> None:
    systemctl("stop", UNIT)
    with pytest.raises(NotReady, match=rf"{UNIT} does not run \(.*\); mend it with: sudo systemctl start {UNIT}"):
        make_broker().start(BASELINE)
    assert main_pid() == 0
    assert not KNOBS.exists()


def test_a_main_config_that_does_not_include_the_folder(make_broker: Callable[..., ExternalBroker]) -> None:
    MAIN.write_bytes(MAIN.read_bytes().replace(b"include_dir", b"# include_dir"))
    pid = main_pid()
    with pytest.raises(NotReady, match=r"does not include /etc/mosquitto/conf\.d; mend it with: echo 'include_dir"):
        make_broker().start(BASELINE)
    assert main_pid() == pid
    assert not KNOBS.exists()


def test_stopped_by_hand_it_is_not_started(make_broker: Callable[..., ExternalBroker]) -> None:
    broker = make_broker()
    broker.start(BASELINE)
    systemctl("stop", UNIT)
    assert not broker.alive()
    with pytest.raises(BrokerStopped, match="was stopped by somebody"):
        broker.revive()
    with pytest.raises(BrokerStopped):
        broker.apply(BASELINE | {"max_inflight_messages": 7})
    assert main_pid() == 0
    assert broker.status().outside
    systemctl("start", UNIT)
    assert broker.revive().how == "none"
    assert broker.status().pid == main_pid()


def test_killed_it_is_left_to_systemd(make_broker: Callable[..., ExternalBroker]) -> None:
    broker = make_broker()
    old = broker.start(BASELINE).pid
    os.kill(old, signal.SIGKILL)
    assert eventually(lambda: not broker.alive())
    assert "signal 9" in broker.status().error or "from outside" in broker.status().error
    revived = broker.revive()
    assert (revived.how, revived.old_pid, revived.pid) == ("none", old, main_pid())
    assert systemctl("show", "--property=NRestarts", "--value", UNIT) == "1"


def test_somebody_elses_restart(make_broker: Callable[..., ExternalBroker]) -> None:
    broker = make_broker()
    broker.start(BASELINE | {"max_inflight_messages": 7})
    systemctl("restart", UNIT)
    assert not broker.alive()
    assert broker.status().error == f"the broker was restarted from outside (PID {main_pid()})"
    assert broker.revive().pid == main_pid()
    assert broker.status().restarts == 1
    assert broker.alive()


def test_the_start_limit_is_minded(make_broker: Callable[..., ExternalBroker]) -> None:
    drop_in("[Unit]\nStartLimitIntervalSec=3\nStartLimitBurst=3\n")
    broker = make_broker()
    broker.start(BASELINE)
    began, starts = time.monotonic(), []
    for size in range(1, 6):
        broker.apply(BASELINE | {"max_inflight_messages": size})
        starts.append(time.monotonic())
    assert starts[-1] - began > 3, "nobody waited"
    for at in starts:
        assert len([other for other in starts if at <= other < at + 2.8]) <= 2


def test_knobs_that_let_it_die_until_systemd_gives_up(make_broker: Callable[..., ExternalBroker]) -> None:
    broker = make_broker()
    broker.start(BASELINE)
    with pytest.raises(ApplyFailed) as raised:
        broker.apply(BASELINE | {"memory_limit": 1000, "max_inflight_messages": 7})
    assert raised.value.restored is not None
    assert broker.status().knobs == BASELINE
    assert systemctl("is-active", UNIT) == "active"


def test_a_start_limit_that_was_hit(make_broker: Callable[..., ExternalBroker]) -> None:
    MAIN.write_bytes(MAIN.read_bytes() + b"no_such_word 1\n")
    subprocess.run(["systemctl", "restart", UNIT], check=False, capture_output=True)
    assert eventually(lambda: systemctl("show", "--property=ActiveState", "--value", UNIT) == "failed")
    with pytest.raises(NotReady, match=rf"start limit.*sudo systemctl reset-failed {UNIT} && sudo systemctl start {UNIT}"):
        make_broker().start(BASELINE)


def test_the_brokers_words_when_it_does_not_start(make_broker: Callable[..., ExternalBroker]) -> None:
    broker = make_broker()
    broker.start(BASELINE)
    main = MAIN.read_bytes()
    MAIN.write_bytes(main + b"no_such_word 1\n")
    with pytest.raises(BrokerDrifted, match=re.escape(str(MAIN))):
        broker.apply(BASELINE | {"max_inflight_messages": 7})
    assert broker.accept().how == "none", "that is what its operator wants, and no knob is another one"
    with pytest.raises(ApplyFailed, match=r"Unknown configuration variable .*no_such_word"):
        broker.apply(BASELINE | {"max_inflight_messages": 7})
    assert broker.status().state == "failed"
    MAIN.write_bytes(main)
    assert broker.reclaim().how == "restart"
    assert broker.status().knobs == BASELINE


def test_a_reload_that_the_broker_ignores(make_broker: Callable[..., ExternalBroker]) -> None:
    drop_in("[Service]\nExecReload=\nExecReload=/bin/true\n")
    broker = make_broker(reload_stable_s=0.5)
    broker.start(BASELINE)
    with pytest.raises(ApplyFailed, match=r"did not react to the reload.*the knobs before are back in force"):
        broker.apply(BASELINE | {"message_size_limit": 5000})
    assert broker.status().knobs == BASELINE


def test_the_journal_is_read_where_the_log_goes_there(make_broker: Callable[..., ExternalBroker]) -> None:
    MAIN.write_bytes(MAIN.read_bytes().replace(b"log_dest file", b"# log_dest file") + b"log_dest stderr\nlog_type all\n")
    systemctl("restart", UNIT)
    broker = make_broker()
    broker.start(BASELINE)
    assert broker.log_path is None
    applied = broker.apply(BASELINE | {"message_size_limit": 5000})
    assert applied.how == "reload"
    assert "log" in applied.checks


def test_without_rights_it_is_said_before_anything_is_touched() -> None:
    pid = main_pid()
    told = as_user("broker.start(broker.baseline)")
    assert told.returncode == 1
    for words in (
        f"this user may not restart {UNIT}; mend it with: the polkit rule that brokertuner-tui doctor --fix shows",
        f"this user may not reload {UNIT}",
        'the folder /etc/mosquitto/conf.d cannot be written by this user; mend it with: sudo chgrp "$(id -gn)"',
    ):
        assert words in told.stderr
    assert main_pid() == pid
    assert not KNOBS.exists()


def test_one_polkit_rule_is_enough() -> None:
    RULE.write_text(polkit_rule(UNIT, USER))
    folder = KNOBS.parent
    shutil.chown(folder, group=USER)
    folder.chmod(0o775)
    try:
        time.sleep(1.0)  # polkitd sees new rules by itself
        told = as_user("""
broker.start(broker.baseline)
for knobs in ({"max_inflight_messages": 7}, {"max_inflight_messages": 7, "message_size_limit": 5000}):
    applied = broker.apply(broker.baseline | knobs)
    print(applied.how, *applied.checks, sep=", ")
broker.stop()
""")
        assert told.returncode == 0, told.stderr
        first, second = told.stdout.splitlines()
        assert "Receive Maximum 7" in first
        # The log is another user's, so a reload could not be seen.
        assert "log not readable" in first
        assert second.startswith("restart")
        assert "message_size_limit 5000" in second
        for arguments in (("stop", UNIT), ("restart", "dbus.service"), ("disable", UNIT)):
            refused = as_user(
                f"import subprocess\nsys.exit(subprocess.call(['systemctl', '--no-ask-password', *{arguments!r}]))"
            )
            assert refused.returncode != 0, arguments
        assert systemctl("is-active", UNIT) == "active"
    finally:
        shutil.chown(folder, group="root")
        folder.chmod(0o755)


def test_restore_on_the_command_line(make_broker: Callable[..., ExternalBroker], tmp_path: Path) -> None:
    KNOBS.write_text("max_queued_messages 500\n")
    environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "BROKERTUNER_BROKER_KIND": "systemd"}

    def restore() -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-B", "-m", "brokertuner_tui", "restore"]
        return subprocess.run(argv, env=environ, check=False, capture_output=True, text=True, timeout=60)

    nothing = restore()
    assert nothing.returncode == 2
    assert "nothing was kept" in nothing.stderr
    broker = ExternalBroker(
        SystemdService(UNIT), tmp_path / "brokertuner-tui" / "originals", lambda h, p: Endpoint("127.0.0.1", 1883)
    )
    broker.start(broker.baseline | {"max_inflight_messages": 7})
    broker.stop()
    done = restore()
    assert done.returncode == 0, done.stderr
    assert str(KNOBS) in done.stdout
    assert KNOBS.read_text() == "max_queued_messages 500\n"

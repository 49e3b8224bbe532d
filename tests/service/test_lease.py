"""One tuner for one broker: the second one's changes are refused, as long as the first is heard of."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from brokertuner_tui.connection.identity import TUNER_HEADER
from brokertuner_tui.process.lock import Holder
from brokertuner_tui.service.errors import ApiError
from brokertuner_tui.service.lease import Lease, Tuner
from tests.service.client import Answer, Client

Serve = Callable[..., Client]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def _who(name: str, silence_s: float = 15.0, run: str = "") -> Tuner:
    return Tuner(name, Holder(pid=4242, since=1_000_000_000.0, run=run, host="far-away"), silence_s)


def test_it_is_the_first_ones_while_that_is_heard_of() -> None:
    clock = Clock()
    lease = Lease(clock=clock)
    lease.take(_who("first"))
    lease.heard(_who("first", run="r-1"))  # its run is known by now
    lease.heard(_who("second"))
    for _ in range(3):
        clock.now += 14.9
        with pytest.raises(ApiError, match=r"process 4242 on far-away since 2001-09-\d\d .*, run r-1") as refused:
            lease.take(_who("second"))
        assert (refused.value.status, refused.value.code) == (409, "leased")
        lease.heard(_who("first", run="r-1"))
    clock.now += 15.1
    lease.take(_who("second"))
    lease.release(_who("first"))
    assert lease.holder is not None
    lease.release(_who("second"))
    assert lease.holder is None


def test_one_that_is_known_to_be_dead_is_replaced_by_who_is_on_its_machine() -> None:
    lease = Lease(clock=Clock())
    lease.take(_who("dead"))
    elsewhere = Tuner("far", Holder(pid=1, host="another-host"))
    for gone, tuner in (("nobody", _who("new")), ("dead", elsewhere), ("", _who("new"))):
        with pytest.raises(ApiError):
            lease.replace(gone, tuner)
    lease.replace("dead", _who("new"))
    assert lease.holder == _who("new")


def test_who_is_heard_of_less_often_has_it_longer() -> None:
    clock = Clock()
    lease = Lease(clock=clock)
    lease.take(_who("slow", silence_s=60.0))
    clock.now += 59.0
    with pytest.raises(ApiError):
        lease.take(_who("other"))
    clock.now += 2.0
    lease.take(_who("other"))


@pytest.mark.parametrize(
    "header",
    ["", "{}", "[]", "nonsense", '{"id": "", "pid": 1, "since": 1}', '{"id": "x", "pid": "one", "since": 1}', '{"id": "x"}'],
)
def test_a_header_that_says_nothing_is_nobody(header: str) -> None:
    assert Tuner.of(header) is None


def test_what_a_header_says_is_not_believed_to_be_harmless() -> None:
    told = {"id": "x\n" * 500, "pid": 1, "since": 0, "run": "\x1b[2J", "host": 7, "silence_s": 1e9}
    tuner = Tuner.of(json.dumps(told))
    assert tuner is not None
    assert tuner.id.isprintable()
    assert len(tuner.id) <= 200
    assert (tuner.holder.run, tuner.silence_s) == ("?[2J", 120.0)


def _as(client: Client, name: str, method: str, path: str, body: Any = None) -> Answer:
    header = json.dumps({"id": name, "pid": 4242, "since": time.time(), "host": "far-away", "run": f"run-of-{name}"})
    return client.ask(method, path, body, headers={TUNER_HEADER: header})


def test_the_service_asks_before_every_change_of_a_tuner(serve: Serve) -> None:
    client = serve()
    change = {"max_queued_messages": 500}
    assert _as(client, "one", "POST", "/tuner").status == 200
    for method, path, body in (
        ("POST", "/tuner", None),
        ("POST", "/apply_knobs", change),
        ("POST", "/apply_knobs?confirm=later", change),
        ("POST", "/restart_broker", None),
        ("POST", "/reconcile", {"keep": "ours"}),
    ):
        refused = _as(client, "two", method, path, body)
        assert (refused.status, refused.error["code"]) == (409, "leased"), path
        assert "process 4242 on far-away since" in refused.error["message"]
        assert "run-of-one" in refused.error["message"]
    assert _as(client, "two", "GET", "/state").status == 200
    assert _as(client, "two", "POST", "/apply_knobs?dry_run=true", change).status == 200
    assert _as(client, "one", "POST", "/apply_knobs", change).status == 200
    assert client.apply(max_queued_messages=600).status == 200  # an operator's own request
    assert _as(client, "two", "DELETE", "/tuner").status == 200
    assert _as(client, "two", "POST", "/tuner").status == 409
    assert _as(client, "one", "DELETE", "/tuner").status == 200
    assert _as(client, "two", "POST", "/apply_knobs", change).status == 200
    assert _as(client, "one", "POST", "/tuner").status == 409
    assert client.ask("POST", "/tuner", headers={"Authorization": None, TUNER_HEADER: "x"}).status == 401

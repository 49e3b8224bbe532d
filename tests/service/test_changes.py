"""Changes of a real broker over HTTP: verified, once, one at a time."""

from __future__ import annotations

import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from brokertuner_tui.knobs.catalogue import CATALOGUE, NAMES
from tests.service.agents import Agent, SlowMosquitto, fragile_mosquitto, picky_mosquitto, until
from tests.service.client import Answer
from tests.service.conftest import Looking, Serve


def test_a_partial_set_is_merged_and_verified_on_every_version(serve: Serve, every_mosquitto: Path) -> None:
    client = serve(mosquitto=every_mosquitto)
    before = client.get("/knobs").data["knobs"]
    reload = client.apply(max_queued_messages=500, set_tcp_nodelay=True)
    assert reload.status == 200
    assert reload.data["status"] == "ok"
    assert reload.data["applied"]["knobs"] == {**before, "max_queued_messages": 500, "set_tcp_nodelay": True}
    restart = client.apply(max_inflight_messages=77)
    assert restart.data["applied"]["how"] == "restart"
    assert restart.data["applied"]["changed"] == ["max_inflight_messages"]
    assert "Receive Maximum 77" in restart.data["applied"]["checks"]
    assert client.get("/knobs").data["knobs"] == restart.data["knobs"] == client.get("/state").data["broker"]["knobs"]
    assert restart.data["knobs"]["max_queued_messages"] == 500


def test_all_eleven_at_once(serve: Serve) -> None:
    client = serve()
    knobs = client.get("/knobs").data["knobs"] | {"persistence": True, "max_packet_size": 100_000, "max_queued_bytes": 10**6}
    answer = client.apply(**knobs)
    assert answer.status == 200
    assert answer.data["knobs"] == answer.data["applied"]["knobs"] == knobs
    again = client.apply(**knobs)
    assert (again.status, again.data["applied"]["how"], again.data["would"]) == (200, "none", {"how": "none", "changed": []})


def test_a_dry_run_tells_and_touches_nothing(serve: Serve) -> None:
    client = serve(allow_changes=False)
    before = client.get("/state").data["broker"]
    told = client.ask("POST", "/apply_knobs?dry_run=true", {"max_inflight_messages": 5, "max_packet_size": 4096}).data
    assert told["would"] == {"how": "restart", "changed": ["max_inflight_messages", "max_packet_size"]}
    assert told["knobs"] == {**before["knobs"], "max_inflight_messages": 5, "max_packet_size": 4096}
    assert (told["dry_run"], told["applied"]) == (True, None)
    nothing = client.ask("POST", "/apply_knobs?dry_run=true", {"max_inflight_messages": 20}).data
    assert nothing["would"] == {"how": "none", "changed": []}
    assert client.get("/state").data["broker"] == before
    assert client.ask("POST", "/apply_knobs?dry_run=true", {"max_inflight_messages": -5}).status == 422


@pytest.mark.parametrize("query", ["dryrun=true", "dry-run=true", "dry_run=true&dry_run=false", "dry_run=maybe", "x"])
def test_a_slip_of_the_pen_is_no_change(looking: Looking, query: str) -> None:
    answer = looking.client.ask("POST", f"/apply_knobs?{query}", {"max_inflight_messages": 5})
    assert (answer.status, answer.error["field"]) == (422, query.partition("=")[0])
    assert looking.client.get("/state").data["broker"]["pid"] == looking.pid


def test_changes_are_off_by_default(serve: Serve) -> None:
    client = serve(allow_changes=False)
    pid = client.get("/state").data["broker"]["pid"]
    for path, body in (("/apply_knobs", {"max_inflight_messages": 5}), ("/restart_broker", None), ("/load", {"profile": {}})):
        answer = client.post(path, body)
        assert (answer.status, answer.error["code"]) == (403, "changes_off")
        assert "--allow-changes" in answer.error["message"]
    state = client.get("/state").data
    assert state["allow_changes"] is False
    assert state["broker"]["pid"] == pid


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"max_inflight_messages": -1}', "max_inflight_messages"),
        (b'{"max_inflight_messages": true}', "max_inflight_messages"),
        (b'{"max_inflight_messages": "100"}', "max_inflight_messages"),
        (b'{"max_inflight_messages": 1.5}', "max_inflight_messages"),
        (b'{"max_inflight_messages": null}', "max_inflight_messages"),
        (b'{"max_inflight_messages": [1]}', "max_inflight_messages"),
        (b'{"max_inflight_messages": 1e400}', "max_inflight_messages"),
        (b'{"max_inflight_messages": NaN}', "max_inflight_messages"),
        (b'{"max_inflight_messages": 99999999999999999999999}', "max_inflight_messages"),
        (b'{"persistence": 1}', "persistence"),
        (b'{"persistence": "yes"}', "persistence"),
        (b'{"max_inflight_mesages": 1}', "max_inflight_mesages"),
        (b'{"max_packet_size": 10, "max_packet_size": 20000}', "max_packet_size"),
        (b"{}", None),
        (b"[]", None),
        (b"", None),
        (b"{", None),
        (b"\xff\xfe", None),
        (b"[" * 50_000, None),
    ],
)
def test_what_is_not_legal_is_refused_and_named(looking: Looking, raw: bytes, field: str | None) -> None:
    answer = looking.client.ask("POST", "/apply_knobs", raw=raw)
    assert (answer.status, answer.error["code"], answer.error["field"]) == (422, "invalid", field), answer
    assert looking.client.get("/state").data["broker"]["pid"] == looking.pid


def test_a_value_is_refused_in_the_words_of_the_catalogue(looking: Looking) -> None:
    for knob in CATALOGUE:
        wrong = {knob.name: "text" if knob.type == "bool" else -2}
        assert knob.allowed in looking.client.post("/apply_knobs", wrong).error["message"]


@pytest.mark.parametrize(
    ("knob", "value", "word"),
    [("memory_limit", 200_000, "memory"), ("memory_limit", 5, "heap"), ("max_queued_messages", 0, "2.0.21")],
)
def test_a_trap_is_refused_with_its_reason_by_a_dry_run_too(
    serve: Serve, mosquitto_2_0_21: Path, knob: str, value: int, word: str
) -> None:
    client = serve(mosquitto=mosquitto_2_0_21)
    until(lambda: re.search(r"^brokertuner_broker_memory_bytes [1-9]", client.get("/metrics").text, re.MULTILINE))
    for path in ("/apply_knobs?dry_run=true", "/apply_knobs"):
        answer = client.post(path, {knob: value})
        assert (answer.status, answer.error["code"], answer.error["field"]) == (422, "trap", knob)
        assert word in answer.error["message"]
    assert client.post("/apply_knobs", {"max_queued_messages": 5000}).status == 200


def test_of_many_at_once_one_is_made(serve: Serve, tmp_path: Path, mosquitto: Path) -> None:
    slow = SlowMosquitto(tmp_path, mosquitto)
    client = serve(mosquitto=slow.program)
    slow.hold()
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(client.apply, "first", max_inflight_messages=30)
        until(lambda: client.get("/state").data["change"])
        assert client.get("/state").data["change"]["key"] == "first"
        assert client.get("/changes/first").data["state"] == "under_way"
        others = list(pool.map(lambda number: client.apply(max_inflight_messages=number), range(40, 45)))
        same = pool.submit(client.apply, "first", max_inflight_messages=30)
        different = client.apply("first", max_inflight_messages=31)
        slow.release()
        answers: tuple[Answer, Answer] = first.result(), same.result()
    assert [(other.status, other.error["code"]) for other in others] == [(409, "busy")] * 5
    assert (different.status, different.error["code"]) == (409, "key_reused")
    assert [answer.status for answer in answers] == [200, 200]
    state = client.get("/state").data
    assert (state["broker"]["restarts"], state["broker"]["knobs"]["max_inflight_messages"]) == (1, 30)
    assert state["change"] is None


def test_at_most_one_a_second(serve: Serve) -> None:
    client = serve(interval_s=30.0)
    assert client.apply("k", max_inflight_messages=30).status == 200
    soon = client.apply(max_inflight_messages=31)
    assert (soon.status, soon.error["code"]) == (429, "too_soon")
    assert 25 <= int(soon.headers["retry-after"]) <= 31
    assert client.apply("k", max_inflight_messages=30).data["replayed"] is True, "an outcome may be asked for at any time"
    assert client.apply(max_inflight_messages=-1).status == 422, "what is wrong is said first"
    assert client.post("/restart_broker").status == 429


def test_the_same_key_is_the_same_change(serve: Serve, agents: list[Agent]) -> None:
    client = serve()
    first = client.apply("once", max_inflight_messages=30).data
    client.apply(max_inflight_messages=40)
    again = client.apply("once", max_inflight_messages=30).data
    assert again == {**first, "replayed": True}
    assert client.get("/knobs").data["knobs"]["max_inflight_messages"] == 40
    assert client.get("/state").data["broker"]["restarts"] == 2
    restarted = client.post("/restart_broker", **{"Idempotency-Key": "again"}).data
    assert client.post("/restart_broker", **{"Idempotency-Key": "again"}).data == {**restarted, "replayed": True}
    assert client.apply("again", max_inflight_messages=40).error["code"] == "key_reused"
    agents[0].stop()
    later = serve(folder=agents[0].folder)
    assert later.apply("once", max_inflight_messages=30).data == again
    assert later.get("/changes/again").data["state"] == "applied"
    assert later.get("/knobs").data["knobs"]["max_inflight_messages"] == 40, "what was applied last is kept"


@pytest.mark.parametrize("key", ["", "a b", "x" * 65, "käse", "a/b"])
def test_a_key_that_is_none(looking: Looking, key: str) -> None:
    answer = looking.client.ask(
        "POST", "/apply_knobs", {"max_inflight_messages": 5}, headers={"Idempotency-Key": key.encode().decode("latin-1")}
    )
    assert (answer.status, answer.error["field"]) == (422, "Idempotency-Key")
    assert looking.client.get("/state").data["broker"]["pid"] == looking.pid


def test_an_unknown_change(looking: Looking) -> None:
    assert looking.client.get("/changes/never").error["code"] == "no_such_change"


def test_what_the_broker_refuses_is_put_back_and_told_in_its_words(
    serve: Serve, tmp_path: Path, mosquitto_2_0_21: Path
) -> None:
    client = serve(mosquitto=picky_mosquitto(tmp_path, mosquitto_2_0_21, "max_queued_bytes 12345"))
    before = client.get("/knobs").data["knobs"]
    refused = client.apply("small", max_queued_bytes=12345)
    assert (refused.status, refused.error["code"]) == (503, "not_applied")
    assert "memory" in refused.error["message"].lower()
    assert refused.error["restored"]["knobs"] == before == client.get("/state").data["broker"]["knobs"]
    told = client.get("/changes/small").data
    assert (told["state"], told["knobs"], told["error"]) == ("failed", before, refused.error)
    starts = client.get("/state").data["broker"]["restarts"]
    assert client.apply("small", max_queued_bytes=12345).error == refused.error
    assert client.get("/state").data["broker"]["restarts"] == starts, "not tried again"


def test_a_broker_that_does_not_come_back_is_seen_and_brought_back(serve: Serve, mosquitto: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    client = serve(mosquitto=fragile_mosquitto(tmp_path, mosquitto, broken))
    assert client.get("/readyz").status == 200
    broken.touch()
    os.kill(client.get("/state").data["broker"]["pid"], signal.SIGKILL)
    until(lambda: "exit code 7" in " ".join(client.get("/readyz").data["reasons"]) or None)
    assert client.get("/readyz").status == 503
    state = client.get("/state").data["broker"]
    assert (state["state"], state["knobs"], state["pid"]) == ("failed", None, None)
    assert "brokertuner_broker_up 0.0" in client.get("/metrics").text
    assert set(client.get("/knobs").data["knobs"]) == set(NAMES)
    assert client.ask("POST", "/apply_knobs?dry_run=true", {"max_packet_size": 5000}).data["would"]["how"] == "restart"
    broken.unlink()
    assert client.post("/restart_broker").data["applied"]["how"] == "restart"
    assert client.get("/readyz").data == {"ready": True, "reasons": []}


def test_a_broker_that_hangs_is_not_ready(serve: Serve) -> None:
    client = serve()
    pid = client.get("/state").data["broker"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        answer = client.get("/readyz")
        assert (answer.status, answer.data["ready"]) == (503, False)
        assert "does not answer" in answer.data["reasons"][0]
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: client.get("/readyz").status == 200)

"""Whatever is in a checkpoint's folder: an agent, or one clear line; never code that runs, never more memory than is there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brokertuner_tui.agent.checkpoint import MANIFEST, TENSORS
from brokertuner_tui.agent.ddpg import DDPG
from brokertuner_tui.errors import TunerError
from tests.agent.problems import SLO_QUICK, trained
from tests.anything import JSON, jsonish, one_line

quick = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The two files of a good one."""
    folder = tmp_path_factory.mktemp("whole") / "agent"
    trained(SLO_QUICK, trials=3).save(folder)
    return {name: (folder / name).read_bytes() for name in (MANIFEST, TENSORS)}


def is_refused_or_loaded(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    try:
        assert isinstance(DDPG.load(folder), DDPG)
    except TunerError as error:
        one_line(error)


@quick
@given(st.binary(max_size=200) | jsonish(("sha256", "agent")))
def test_any_manifest(tmp_path: Path, whole: dict[str, bytes], content: bytes) -> None:
    is_refused_or_loaded(tmp_path / "agent", whole | {MANIFEST: content})


@quick
@given(st.binary(max_size=300))
def test_any_tensors_with_the_right_sum(tmp_path: Path, whole: dict[str, bytes], content: bytes) -> None:
    body = json.loads(whole[MANIFEST])["agent"]
    body["tensors"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    is_refused_or_loaded(tmp_path / "agent", {MANIFEST: signed(body), TENSORS: content})


@quick
@given(st.data())
def test_any_value_in_a_manifest_with_the_right_sum(tmp_path: Path, whole: dict[str, bytes], data: st.DataObject) -> None:
    body = json.loads(whole[MANIFEST])["agent"]
    place = body
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(JSON)
    is_refused_or_loaded(tmp_path / "agent", whole | {MANIFEST: signed(body)})


def signed(body: dict[str, Any]) -> bytes:
    """A manifest whose sum is right, whatever it says."""
    return json.dumps({"sha256": hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest(), "agent": body}).encode()

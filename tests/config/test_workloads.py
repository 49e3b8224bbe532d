"""Workloads: the shipped ones, the operator's, and phases of both."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path

import pytest

from brokertuner_tui.config.load import load_settings
from brokertuner_tui.config.workloads import ProfileTable, get_workload, read_tables, read_workloads
from brokertuner_tui.errors import ConfigError, UsageError
from brokertuner_tui.workload import limits
from brokertuner_tui.workload.profile import Profile
from tests.config.conftest import Load

NOWHERE = Path("/nonexistent")

# publishers, subscribers, topics, QoS, payload bytes, rate, window (None: not stated), RTT ms, SLO ms
STATED: dict[str, tuple[float | None, ...]] = {
    "telemetry": (20, 2, 2, 0, 64, 5_000, None, 0, 2),
    "pipeline": (10, 10, 10, 1, 64, 0, 200, 0, 50),
    "wan": (4, 4, 4, 1, 64, 40_000, 60_000, 100, 250),
    "fanout": (1, 100, 1, 1, 64, 500, 1_000, 50, 10),
    "bulk": (4, 4, 4, 1, 65_536, 0, 50, 0, 50),
    "burst": (10, 10, 10, 1, 256, 30_000, 5_000, 20, 20),
}


@pytest.mark.parametrize("name", STATED)
def test_the_shipped_workloads_have_the_stated_figures(name: str) -> None:
    workload = get_workload(load_settings(environ={}, cwd=NOWHERE), name)
    (phase,) = workload.phases
    p = phase.profile
    assert (workload.name, p.name, phase.seconds) == (name, name, math.inf)
    stated = STATED[name]
    window = None if stated[6] is None else p.window
    assert (
        p.publishers,
        p.subscribers,
        p.topics,
        p.qos,
        p.payload_bytes,
        p.rate,
        window,
        p.client_rtt_ms,
        p.slo_ms,
    ) == stated
    assert p.burst == ((0.2, 0.8) if name == "burst" else None)
    assert p.clean_session
    assert p.protocol == 4


def test_durable_and_qos2_are_what_they_are_called() -> None:
    loaded = load_settings(environ={}, cwd=NOWHERE)
    durable, qos2 = get_workload(loaded, "durable").at(0), get_workload(loaded, "qos2").at(0)
    assert not durable.clean_session
    assert durable.offline_subscribers > 0
    assert durable.qos > 0
    assert qos2.qos == 2


def test_a_day_goes_round() -> None:
    day = get_workload(load_settings(environ={}, cwd=NOWHERE), "day")
    names = ["telemetry", "pipeline", "fanout", "pipeline", "wan"]
    assert [(phase.profile.name, phase.seconds) for phase in day.phases] == [(name, 40.0) for name in names]
    assert [day.at(t).name for t in (0, 39.9, 40, 199, 200, 1000 + 85)] == [
        "telemetry",
        "telemetry",
        "pipeline",
        "wan",
        "telemetry",
        "fanout",
    ]


def test_the_table_and_the_profile_have_the_same_keys_and_defaults() -> None:
    table = {name: info.default for name, info in ProfileTable.model_fields.items()}
    assert table == {field.name: field.default for field in fields(Profile) if field.name not in ("name", "parts")}


def test_the_table_and_the_loads_have_the_same_bounds() -> None:
    edges = {
        "publishers": (1, 10_000),
        "topics": (1, 10_000),
        "payload_bytes": (24, 2**24),
        "rate": (0, 1e7),
        "window": (1, 65_535),
        "client_rtt_ms": (0, 60_000),
        "offline_subscribers": (0, 10_000),
        "slo_ms": (1e-9, 600_000),
    }
    for key, (low, high) in edges.items():
        for value in (low, high):
            profile = Profile("edge", **{"publishers": 10_000 if key == "topics" else 1, key: value})  # type: ignore[arg-type]
            limits.check(profile)
            assert read_tables({"edge": {k: v for k, v in profile.as_dict().items() if k not in ("name", "burst")}}, "x")
        for value in (low - 1, high + 1):
            with pytest.raises(ConfigError):
                limits.check(Profile("edge", **{key: value}))  # type: ignore[arg-type]
            with pytest.raises(ConfigError):
                read_tables({"edge": {key: value}}, "x")


def test_a_table_of_the_operators_replaces_the_shipped_one_whole(load: Load) -> None:
    loaded = load(project="[workload.fanout]\nrate = 7\n")
    assert get_workload(loaded, "fanout").at(0) == Profile("fanout", rate=7.0)
    assert loaded.sources["workload.fanout"].endswith("project/brokertuner.toml")
    assert loaded.sources["workload.wan"] == "shipped"


def test_the_stronger_file_wins_and_shipped_phases_follow_it(load: Load, tmp_path: Path) -> None:
    loads = tmp_path / "loads.toml"
    loads.write_text("[workload.wan]\nrate = 4\n")
    loaded = load(user="[workload.wan]\nrate = 1", project="[workload.wan]\nrate = 2", workload_file=loads)
    assert get_workload(loaded, "wan").at(0).rate == 4
    assert get_workload(loaded, "day").phases[-1].profile.rate == 4


def test_phases_of_phases_are_cut_and_repeated(load: Load) -> None:
    loaded = load(
        project="""
[workload.a]
rate = 1
[workload.b]
rate = 2
[workload.inner]
phases = [{ use = "a", seconds = 2 }, { use = "b", seconds = 3 }]
[workload.outer]
phases = [{ use = "inner", seconds = 8 }, { use = "a", seconds = 1.5 }]
"""
    )
    outer = get_workload(loaded, "outer")
    assert [(p.profile.name, p.seconds) for p in outer.phases] == [("a", 2), ("b", 3), ("a", 2), ("b", 1), ("a", 1.5)]


def test_deep_phases_are_refused_and_not_followed_for_ever(load: Load) -> None:
    text = "[workload.w0]\nrate = 1\n"
    text += "".join(f"[workload.w{i}]\nphases = [{{ use = 'w{i - 1}', seconds = 1 }}]\n" for i in range(1, 2000))
    with pytest.raises(ConfigError, match="at most 16 deep"):
        load(project=text)


def test_a_workload_file_gives_its_own_and_may_use_shipped_ones(tmp_path: Path) -> None:
    file = tmp_path / "loads.toml"
    file.write_text(
        "[workload.mine]\npublishers = 3\ntopics = 3\nqos = 2\nrate = 10\nburst = [0.5, 1]\nprotocol = 5\n"
        "[workload.both]\nphases = [{ use = 'mine', seconds = 1 }, { use = 'wan', seconds = 2.5 }]\n"
    )
    read = read_workloads(file)
    assert set(read) == {"mine", "both"}
    assert read["mine"].at(0) == Profile("mine", 3, topics=3, qos=2, rate=10.0, burst=(0.5, 1.0), protocol=5)
    assert [(p.profile.name, p.seconds) for p in read["both"].phases] == [("mine", 1.0), ("wan", 2.5)]


def test_an_unknown_workload_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"workload 'fan': known are bulk, burst, day, durable, fanout, live, pipeline"):
        get_workload(load_settings(environ={}, cwd=NOWHERE), "fan")


def test_an_unknown_workload_in_the_config_names_the_place(load: Load) -> None:
    loaded = load(project="[load]\nworkload = 'fan'\n")
    with pytest.raises(
        ConfigError, match=r"brokertuner\.toml: load\.workload = 'fan': unknown workload; known are bulk, burst"
    ):
        get_workload(loaded, "fan")
    with pytest.raises(UsageError, match=r"^unknown workload 'fun': "):
        get_workload(loaded, "fun")


MIXED = """
[workload.one]
rate = 100
qos = 1
[workload.other]
rate = 50
payload_bytes = 5000
[workload.both]
mix = ["one", "other", "telemetry"]
[workload.after]
phases = [ { use = "both", seconds = 5 }, { use = "one", seconds = 5 } ]
"""


def test_a_mix_is_several_at_once(tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_text(MIXED)
    found = read_workloads(tmp_path / "w.toml")
    mix = found["both"].at(0)
    assert (mix.name, [part.name for part in mix.parts], mix.rate) == ("both", ["one", "other", "telemetry"], 5_150)
    assert [phase.profile.name for phase in found["after"].phases] == ["both", "one"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[workload.record]\nrate = 1\n", "workload = 'record': is a command of its own (`workload record`)"),
        ("[workload.play]\nrate = 1\n", "workload = 'play': is a command of its own (`workload play`)"),
        ("[workload.m]\nmix = []\n", "workload.m.mix = []: must be a list of 1 to 64 steady workloads"),
        ("[workload.m]\nmix = 'one'\n", "workload.m.mix = 'one': must be a list"),
        ("[workload.m]\nmix = ['on']\n", "workload.m.mix = 'on': unknown workload"),
        ("[workload.m]\nmix = ['day']\n", "workload.m.mix = 'day': has phases, is a mix, or was recorded"),
        ("[workload.m]\nmix = ['m']\n", "workload.m.mix = 'm': has phases, is a mix, or was recorded"),
        ("[workload.m]\nmix = ['fanout']\nrate = 1\n", "workload.m.rate = 1: cannot stand beside mix"),
        ("[workload.m]\nmix = ['fanout']\nphases = []\n", "workload.m.mix = ['fanout']: cannot stand beside phases"),
        ("[workload.m]\nmix = ['fanout', 'wan']\n", "workload.m.mix = ['fanout', 'wan']: client_rtt_ms = 50"),
    ],
)
def test_what_is_wrong_with_a_mix(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "w.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_workloads(tmp_path / "w.toml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)

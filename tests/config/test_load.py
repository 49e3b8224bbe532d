"""Which source wins, and what each of them may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokertuner_tui.config.fields import Setting, all_settings, from_text
from brokertuner_tui.config.load import load_settings
from brokertuner_tui.config.settings import Settings
from brokertuner_tui.errors import ConfigError, UsageError
from tests.config.conftest import Load

NOWHERE = Path("/nonexistent")
FILES: dict[str, Any] = {"project": "seed = 2", "user": "seed = 1", "config": "seed = 3"}
ENVIRON = {"BROKERTUNER_SEED": "4"}


def test_nothing_said_means_the_defaults(load: Load) -> None:
    loaded = load()
    assert loaded.settings == Settings()
    assert loaded.files == ()
    assert {source for key, source in loaded.sources.items() if not key.startswith("workload.")} == {"default"}
    assert set(all_settings()) <= set(loaded.sources)


@pytest.mark.parametrize(
    ("said", "seed", "source"),
    [
        ({"overrides": {"seed": 5}, "environ": ENVIRON, **FILES}, 5, "--seed"),
        ({"overrides": {"seed": None}, "environ": ENVIRON, **FILES}, 4, "environment variable BROKERTUNER_SEED"),
        ({"environ": {"BROKERTUNER_SEED": ""}, **FILES}, 3, "project/given.toml"),
        ({"project": "seed = 2", "user": "seed = 1"}, 2, "project/brokertuner.toml"),
        ({"user": "seed = 1"}, 1, "home/config/brokertuner-tui/brokertuner.toml"),
        ({"project": "[tui]\nascii = true", "user": "seed = 1"}, 1, "home/config/brokertuner-tui/brokertuner.toml"),
    ],
)
def test_the_strongest_source_wins(load: Load, said: dict[str, Any], seed: int, source: str) -> None:
    loaded = load(**said)
    assert loaded.settings.seed == seed
    assert loaded.sources["seed"].endswith(source)


def test_the_files_are_listed_strongest_first(load: Load, tmp_path: Path) -> None:
    loads = tmp_path / "loads.toml"
    loads.write_text("[workload.mine]\n")
    loaded = load(**FILES, workload_file=loads)
    assert [path.name for path in loaded.files] == ["loads.toml", "given.toml", "brokertuner.toml", "brokertuner.toml"]
    assert loaded.files[2].parent.name == "project"


def test_the_project_file_given_by_config_counts_once(load: Load, tmp_path: Path) -> None:
    load(project="seed = 2")
    loaded = load_settings(config_file=Path("brokertuner.toml"), environ={}, cwd=tmp_path / "project")
    assert len(loaded.files) == 1
    assert loaded.settings.seed == 2


def test_every_setting_has_an_environment_variable_of_its_own() -> None:
    variables = [setting.variable for setting in all_settings().values()]
    assert len(set(variables)) == len(variables)
    assert all(variable.isidentifier() and variable.isupper() for variable in variables)


def _text(setting: Setting) -> tuple[str, object]:
    """Some legal text for a setting, and the value it means."""
    examples: dict[str, tuple[str, object]] = {
        "agent.device": ("cuda:1", "cuda:1"),
        "tuning.pin": ("set_tcp_nodelay=on, max_inflight_messages=7", {"set_tcp_nodelay": True, "max_inflight_messages": 7}),
        "tui.keymap": ('{ pause = "space,f5" }', {"pause": "space,f5"}),
        "agent.gamma": ("0.5", 0.5),
        "broker.ws_path": ("/word", "/word"),
        "live.probe_payload_bytes": ("32", 32),
        "live.probe_qos": ("0,2", "0,2"),
        "live.sequence": ("json:seq", "json:seq"),
        "broker.url": ("https://host:8080", "https://host:8080"),
        "service.max_body_bytes": ("2048", 2048),
        "store.url": ("postgresql://tuner@db:5432/runs", "postgresql://tuner@db:5432/runs"),
        "tuning.window_max_share": ("1.5", 1.5),
        "live.subscribe": ('["a/+", "b, c/#"]', ["a/+", "b, c/#"]),
    }
    if setting.key in examples:
        return examples[setting.key]
    if setting.kind is bool:
        return "yes", True
    if setting.kind is int:
        return "17", 17
    if setting.kind is float:
        return "0.75", 0.75
    if setting.kind is Path:
        return "some/where", Path("/nonexistent/some/where")
    if setting.kind is str:
        return "word", "word"
    return str(setting.default), setting.default


@pytest.mark.parametrize("setting", all_settings().values(), ids=lambda setting: setting.key)
def test_every_setting_can_be_set_by_its_variable(setting: Setting) -> None:
    text, expected = _text(setting)
    loaded = load_settings(environ={setting.variable: text}, cwd=NOWHERE)
    value: Any = loaded.settings
    for part in setting.key.split("."):
        value = getattr(value, part)
    assert value == expected
    assert f"environment variable {setting.variable}" in loaded.sources.values()


def test_the_two_foreign_variables_and_who_wins_over_them() -> None:
    foreign = {"MOSQUITTO_PID": "4711", "MOSQUITTO_TUNER_CONFIG": "/etc/mosquitto/conf.d/broker_tuner.conf"}
    broker = load_settings(environ=foreign, cwd=NOWHERE).settings.broker
    assert broker.mosquitto_pid == 4711
    assert broker.tuner_config == Path("/etc/mosquitto/conf.d/broker_tuner.conf")
    ours = load_settings(environ={"BROKERTUNER_BROKER_MOSQUITTO_PID": "12", **foreign}, cwd=NOWHERE)
    assert ours.settings.broker.mosquitto_pid == 12
    assert ours.sources["broker.tuner_config"] == "environment variable MOSQUITTO_TUNER_CONFIG"


@pytest.mark.parametrize("name", ["BROKERTUNER_MOSQUITTO_DIR", "BROKERTUNER_TEST_MOSQUITTO", "MOSQUITTO_UNSAFE", "SEED"])
def test_variables_that_are_no_settings_are_left_alone(name: str) -> None:
    assert load_settings(environ={name: "x"}, cwd=NOWHERE).settings == Settings()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("BROKERTUNER_SED", "1", "BROKERTUNER_SED = '1': unknown key; the nearest known is BROKERTUNER_SEED"),
        ("BROKERTUNER_TUNING_STEP_INTERVAL", "1", "the nearest known is BROKERTUNER_TUNING_STEP_INTERVAL_SEC"),
        ("BROKERTUNER_SEED", "one", "seed = 'one': must be a whole number"),
        ("BROKERTUNER_SEED", "1.0", "seed = '1.0': must be a whole number"),
        ("BROKERTUNER_SEED", "٣", "seed = '٣': must be a whole number"),
        ("BROKERTUNER_TUNING_SETTLE_SEC", "nan", "tuning.settle_sec = nan: must be a number"),
        ("BROKERTUNER_TUNING_SETTLE_SEC", "1e999", "tuning.settle_sec = inf: must be a number"),
        ("BROKERTUNER_TUI_ASCII", "maybe", "tui.ascii = 'maybe': must be true or false"),
        ("BROKERTUNER_TUNING_PIN", "memory_limit", "tuning.pin = 'memory_limit': must be a table"),
        ("BROKERTUNER_TUNING_PIN", "{ memory_limit = ", "tuning.pin = '{ memory_limit =': must be a table"),
        ("BROKERTUNER_TUNING_PIN", "memory_limit=-1", "tuning.pin.memory_limit = '-1': must be a whole number"),
        ("MOSQUITTO_PID", "0", "broker.mosquitto_pid = 0: must be a whole number, at least 1"),
    ],
)
def test_a_bad_variable_is_named(name: str, text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(environ={name: text}, cwd=NOWHERE)
    assert str(caught.value).startswith(f"environment variable {name}: ")
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"seed": -1}, "--seed: seed = -1: must be a whole number"),
        ({"tuning.max_seconds": float("nan")}, "--max-seconds: tuning.max_seconds = nan: must be a number"),
        ({"tuning.preset": "best"}, "--preset: tuning.preset = 'best': must be one of slo, classic"),
        ({"tuning.pin": ["max_inflight=3"]}, "--pin: tuning.pin.max_inflight = '3': unknown key; "),
        ({"tuning.pin": ["max_inflight_messages=65536"]}, "--pin: tuning.pin.max_inflight_messages = '65536': must be"),
        ({"tuning.pin": {"persistence": 3}}, "--pin: tuning.pin.persistence = 3: must be true or false"),
        ({"tuning.pin": ["persistence"]}, "--pin persistence: must be NAME=VALUE"),
    ],
)
def test_a_bad_flag_is_named(overrides: dict[str, object], expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_settings(overrides=overrides, environ={}, cwd=NOWHERE)
    assert str(caught.value).startswith(expected)


def test_pins_of_all_sources_add_up_knob_by_knob(load: Load) -> None:
    loaded = load(
        project="[tuning.pin]\nmemory_limit = 1000\nmax_inflight_messages = 20\n",
        environ={"BROKERTUNER_TUNING_PIN": "max_inflight_messages=30"},
        overrides={"tuning.pin": ["set_tcp_nodelay=true", "max_queued_bytes=no limit"]},
    )
    pins = {"memory_limit": 1000, "max_inflight_messages": 30, "set_tcp_nodelay": True, "max_queued_bytes": 0}
    assert loaded.settings.tuning.pin == pins
    assert loaded.sources["tuning.pin.set_tcp_nodelay"] == "--pin"
    assert loaded.sources["tuning.pin.max_inflight_messages"] == "environment variable BROKERTUNER_TUNING_PIN"
    assert "tuning.pin" not in loaded.sources


def test_none_takes_back_what_a_weaker_source_set(load: Load) -> None:
    assert load(project="[tuning]\nmax_seconds = 5").settings.tuning.max_seconds == 5
    loaded = load(environ={"BROKERTUNER_TUNING_MAX_SECONDS": "none"})
    assert loaded.settings.tuning.max_seconds is None


def test_paths_are_relative_to_the_file_that_names_them(load: Load, tmp_path: Path, home: Path) -> None:
    where = tmp_path / "project"
    (where / "deep").mkdir()
    (where / "deep" / "x.toml").write_text("[store]\nsave_dir = '../out'\n[broker]\nmosquitto = '~/bin/mosquitto'\n")
    loaded = load_settings(config_file=Path("deep/x.toml"), environ={}, cwd=where)
    assert loaded.settings.store.save_dir == where / "out"
    assert loaded.settings.broker.mosquitto == home / "bin" / "mosquitto"
    flag = load(overrides={"store.save_dir": Path("out2")})
    assert flag.settings.store.save_dir == where / "out2"


@given(
    st.dictionaries(st.text(max_size=12), st.text(max_size=20), max_size=3), st.sampled_from(sorted(all_settings())), st.text()
)
def test_whatever_the_environment_holds_the_answer_is_settings_or_one_clear_error(
    others: dict[str, str], key: str, text: str
) -> None:
    setting = all_settings()[key]
    names = {name if i % 2 else f"BROKERTUNER_{name}": value for i, (name, value) in enumerate(others.items())}
    error = ""
    try:
        load_settings(environ={**names, setting.variable: text}, cwd=NOWHERE)
    except ConfigError as refused:
        error = str(refused)
    assert len(error.splitlines()) <= 1
    assert not error or error.startswith("environment variable ")


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**30), 10**30))
def test_numbers_survive_their_text(number: float, whole: int) -> None:
    assert from_text(all_settings()["tuning.settle_sec"], repr(number)) == number
    assert from_text(all_settings()["seed"], f" {whole} ") == whole

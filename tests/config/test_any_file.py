"""Whatever a TOML file holds, the answer is settings within their bounds, or one clear line."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from brokertuner_tui.config.fields import all_settings, sections, settings_of
from brokertuner_tui.config.load import load_settings
from brokertuner_tui.config.workloads import ProfileTable
from brokertuner_tui.errors import ConfigError
from brokertuner_tui.knobs.catalogue import NAMES
from brokertuner_tui.knobs.validation import check

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)
PLAIN = st.one_of(
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.integers(0, 100),
    st.floats(0, 2),
    st.floats(),
    TEXT,
    st.sampled_from(["none", "slo", "cpu", "best"]),
    st.lists(st.floats(0, 3), max_size=3),
)
NAME = st.sampled_from(
    sorted({part for key in (*all_settings(), *sections(), *settings_of(ProfileTable)) for part in key.split(".")})
)
KEYS = st.one_of(NAME, NAME, TEXT, st.sampled_from(NAMES))
ANY = st.recursive(PLAIN, lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8)
SETTING = st.sampled_from([(key, st_value) for key in sorted(all_settings()) for st_value in (PLAIN, ANY)])


def nested(key: str, value: Any) -> dict[str, Any]:
    """`a.b` as tables in tables."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


DOCUMENT = st.one_of(
    st.dictionaries(KEYS, ANY, max_size=3),
    SETTING.flatmap(lambda pair: st.builds(nested, st.just(pair[0]), pair[1])),
    st.builds(
        lambda name, table: {"workload": {name: table}},
        st.sampled_from(["mine", "fanout", "a b", ""]),
        st.dictionaries(st.sampled_from(sorted(settings_of(ProfileTable))), PLAIN, max_size=3),
    ),
)


@settings(max_examples=200, deadline=None)
@given(DOCUMENT)
def test_any_toml_is_taken_or_refused_in_one_line(document: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "any.toml"
        file.write_text(tomlkit.dumps(document), encoding="utf-8")
        error, pins = "", {}
        try:
            loaded = load_settings(config_file=file, environ={}, cwd=Path(folder))
            pins = dict(loaded.settings.tuning.pin)
            profiles = [phase.profile for workload in loaded.workloads.values() for phase in workload.phases]
            assert all(profile.topics <= profile.clients and profile.fan_out > 0 for profile in profiles)
        except ConfigError as refused:
            error = str(refused)
    assert len(error.splitlines()) <= 1
    assert not error or error.startswith(f"{file}: ")
    assert {name: check(name, value) for name, value in pins.items()} == pins

"""A run's page holds what the store holds, whatever is in it."""

from __future__ import annotations

import hashlib
import math
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from brokertuner_tui.env.outcome import Verdict
from brokertuner_tui.errors import UsageError
from brokertuner_tui.html import run_charts, run_report, run_words
from brokertuner_tui.knobs.conf import render as render_conf
from brokertuner_tui.store.rows import ConfirmationRow, RunRow, TrialRow
from brokertuner_tui.store.store import Store
from brokertuner_tui.tuning.events import Measured, TrialKind
from brokertuner_tui.workload.profile import Profile
from tests.html.reading import read_page
from tests.store import made

NASTY = "</title><script>alert(1)</script>\"'\u202e\x1b[2J\ud800"
Whole = tuple[RunRow, list[TrialRow], list[ConfirmationRow]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


def _whole(store: Store, run: str) -> Whole:
    return store.run(run), store.trials(run), store.confirmations(run)


def _run(store: Store, *, confirmed: bool = True) -> Whole:
    run = store.create_run(made.run_info())
    store.record_trial(run, made.trial(1, kind=TrialKind.DEFAULT), broker_restarts=1, workload_restarts=0)
    store.record_trial(run, made.trial(2, verdict=Verdict.FAILED, best_trial=1), broker_restarts=2, workload_restarts=0)
    store.record_trial(run, made.trial(3), broker_restarts=3, workload_restarts=0)
    if confirmed:
        windows = [("default", made.window(on_time=0)), ("best", made.window())]
        store.record_confirmation(run, made.confirmed(), windows)  # type: ignore[arg-type]
        store.finish_run(run, made.finished(run))
    return _whole(store, run)


def test_the_whole_page(store: Store) -> None:
    run, trials, confirmations = _run(store)
    text = run_report.render(run, trials, confirmations)
    page = read_page(text)
    assert page.all("h1")[0].text == "fanout on Mosquitto 2.0.21"
    said = page.all("p", "verdict")[0].text
    assert (
        said
        == "49,900/s on time [49,800, 50,000] where the default delivers nothing on time, confirmed in 5 interleaved windows."
    )
    titles = [title.text for title in page.all("h2")]
    for title in ("Default against best", "Over the trials", "Knobs", "Restarts", "The config to copy", "How it was measured"):
        assert title in titles
    conf = page.by_id("conf").text
    assert "".join(f"{line}\n" for line in conf.splitlines() if line and line[0] != "#") == render_conf(made.BEST_KNOBS)
    rows = page.by_id("all")
    assert rows.text == "All trials"
    (details,) = page.all("details")
    cells = [[cell.text for cell in row.children if not isinstance(cell, str)] for row in details.all("tbody")[0].all("tr")]
    assert [row[0] for row in cells] == ["1", "2", "3"]
    assert cells[0][3] == "48,000/s"
    assert cells[1][2] == "failed"
    assert "Invalid value" in cells[1][-1]
    assert len(page.all("g", "failed")) == 2  # once for a screen, once for a phone


def test_its_policy_allows_the_one_script_that_is_there(store: Store) -> None:
    page = read_page(run_report.render(*_run(store)))
    (script,) = page.all("script")
    (policy,) = [meta.attributes["content"] for meta in page.all("meta") if "http-equiv" in meta.attributes]
    assert f"'sha256-{b64encode(hashlib.sha256(script.text.encode()).digest()).decode()}'" in policy
    assert "default-src 'none'" in policy
    assert all("hidden" in button.attributes for button in page.all("button"))  # without the script there is none


def test_names_stay_names(store: Store) -> None:
    run = store.create_run(made.run_info(workload=NASTY, profile={**made.PROFILE.as_dict(), "name": NASTY}))
    event = made.trial(1)
    outcome = replace(event.outcome, profile=replace(made.PROFILE, name=NASTY))
    store.record_trial(run, replace(event, outcome=outcome), broker_restarts=0, workload_restarts=0)
    failed = made.trial(2, verdict=Verdict.FAILED, best_trial=1)
    store.record_trial(
        run, replace(failed, outcome=replace(failed.outcome, reason=NASTY)), broker_restarts=0, workload_restarts=0
    )
    text = run_report.render(*_whole(store, run))
    text.encode()
    page = read_page(text)
    assert len(page.all("script")) == 1
    assert page.all("h1")[0].text.startswith("</title><script>alert(1)</script>")
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_run_that_was_not_confirmed(store: Store) -> None:
    page = read_page(run_report.render(*_run(store, confirmed=False)))
    assert "Not confirmed: the run is not over before default and best" in page.all("p", "verdict")[0].text
    assert "Default against best" not in [title.text for title in page.all("h2")]
    assert page.by_id("conf").text


def test_only_failed_trials(store: Store) -> None:
    run = store.create_run(made.run_info())
    for number in (1, 2):
        store.record_trial(
            run, made.trial(number, verdict=Verdict.FAILED, best_trial=None), broker_restarts=0, workload_restarts=0
        )
    page = read_page(run_report.render(*_whole(store, run)))
    titles = [title.text for title in page.all("h2")]
    assert "The config to copy" not in titles
    assert "Knobs" not in titles


def test_no_trial(store: Store) -> None:
    run = store.create_run(made.run_info())
    with pytest.raises(UsageError, match=f"run {run} has no trial"):
        run_report.render(*_whole(store, run))


def test_a_load_that_changes(store: Store) -> None:
    run = store.create_run(made.run_info(workload="day"))
    for number in range(1, 7):
        event = made.trial(number)
        profile = Profile("pipeline", slo_ms=50.0) if number in (3, 4) else made.PROFILE
        store.record_trial(
            run, replace(event, outcome=replace(event.outcome, profile=profile)), broker_restarts=0, workload_restarts=0
        )
    found = _whole(store, run)
    parts = run_charts.stretches(found[1])
    assert [(part.profile, part.slo_ms, part.first, part.last) for part in parts] == [
        ("fanout", 10.0, 1, 2),
        ("pipeline", 50.0, 3, 4),
        ("fanout", 10.0, 5, 6),
    ]
    page = read_page(run_report.render(*found))
    assert len(page.all("div", "wide")[0].all("rect", "shade")) == 1


def test_the_best_so_far_is_the_mean_of_its_measurements(store: Store) -> None:
    run = store.create_run(made.run_info())
    figures = (10_000, 30_000, 20_000)
    for number, on_time in enumerate(figures, 1):
        event = made.trial(number, best_trial=1 if number < 2 else 2)
        knobs = {**made.BEST_KNOBS, "max_inflight_messages": 20 if number == 1 else 2000}
        outcome = replace(event.outcome, knobs=knobs, window=made.window(on_time=on_time))
        store.record_trial(run, replace(event, outcome=outcome), broker_restarts=0, workload_restarts=0)
    _, trials, _ = _whole(store, run)
    assert list(run_charts.best_so_far(trials)) == [(1, 10_000), (2, 30_000), (3, 25_000)]
    (none,) = run_charts.best_so_far([replace(trials[0], best_trial=None)])
    assert math.isnan(none[1])
    assert math.isnan(run_charts.default_level(trials, "fanout"))


def _measured(mean: float, **changes: float) -> Measured:
    figure = Measured(mean, mean * 0.99, mean * 1.01, mean, 1.0, 5.0, 5)
    return replace(figure, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("default", "best", "ends", "better", "said"),
    [
        (
            100.0,
            199.0,
            (1.95, 2.03),
            True,
            "1.99× the default's on-time goodput [1.95, 2.03], confirmed in 5 interleaved windows.",
        ),
        (
            100.0,
            101.0,
            (0.97, 1.05),
            False,
            "Not better than the default: 1.01× the default's on-time goodput [0.97, 1.05], in 5 interleaved windows.",
        ),
        (
            0.0,
            0.0,
            (1.0, 1.0),
            False,
            "Not better than the default, in 5 interleaved windows: neither setting is beyond doubt on time.",
        ),
        (100.0, 50_000.0, (None, None), True, "500× the default's on-time goodput, confirmed in 5 interleaved windows."),
    ],
)
def test_verdicts(default: float, best: float, ends: tuple[float | None, float | None], better: bool, said: str) -> None:
    assert run_words.compared(_measured(default), _measured(best), *ends, better) == said


def test_a_load_in_words() -> None:
    said = run_words.load(made.PROFILE.as_dict())
    assert said == "fanout: 1 publisher to 100 subscribers over 1 topic, QoS 1, 64 B, 500 messages/s, SLO 10 ms"
    mix = Profile.mix("both", [made.PROFILE, Profile("bulk", qos=1, client_rtt_ms=20.0)])
    assert "together with bulk: 1 publisher" in run_words.load(mix.as_dict())
    assert "as fast as a window of 200 allows, clients 20 ms away" in run_words.load(mix.as_dict())

"""How much of a probe a broker is asked to bear."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from brokertuner_tui.config.settings import LiveSettings
from brokertuner_tui.workload import limits
from brokertuner_tui.workload.live import probe

SETTINGS = LiveSettings()


@given(st.floats(0, 1e6), st.floats(1, 5))
def test_the_probe_is_one_per_cent_at_most_or_the_least_there_is(others: float, now: float) -> None:
    rate = probe.fitting_rate(SETTINGS, others, now)
    assert probe.LEAST_PER_S <= rate <= SETTINGS.probe_rate
    ours = probe.packets_per_s((0, 1, 2), rate)
    assert rate == probe.LEAST_PER_S or ours <= 0.0101 * (ours + others)


def test_what_is_not_known_holds_nothing_back() -> None:
    assert probe.fitting_rate(SETTINGS, None, 1.0) == SETTINGS.probe_rate
    assert probe.fitting_rate(LiveSettings(probe_share=1.0), 0.0, 1.0) == SETTINGS.probe_rate
    assert probe.fitting_rate(LiveSettings(probe_rate=0.5), 0.0, 0.5) == 0.5


@given(st.floats(0.01, 1000))
def test_every_rate_makes_a_probe_that_the_generator_can_run(rate: float) -> None:
    made = probe.profile(LiveSettings(probe_qos="2,0"), rate)
    limits.check(made)
    assert [part.qos for part in made.parts] == [0, 2]

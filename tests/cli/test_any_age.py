"""`--older-than`: an age, or one clear line."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from brokertuner_tui.cli.runs_recover import seconds_of
from brokertuner_tui.errors import UsageError
from tests.anything import one_line


@example("²h")
@example("9" * 5000 + "h")
@example("")
@given(st.text(max_size=12) | st.from_regex(r"[0-9]{1,12}[smhdw]", fullmatch=True))
def test_any_text(text: str) -> None:
    try:
        age = seconds_of(text)
    except UsageError as error:
        one_line(error, "--older-than")
    else:
        assert 0 <= age < 1e15
        assert text[-1] in "smhd"

"""Whatever is given as the agent's URL, or is in its token's file: a target, or one clear line."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from brokertuner_tui.connection.target import make_target, read_token
from brokertuner_tui.errors import UsageError
from tests.anything import one_line

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
urls = st.from_regex(r"https?://[a-z0-9.:@\[\]/?#%-]{0,20}", fullmatch=True)


@quick
@example("http://[::1")
@example("https://host:99999")
@example("https://℀/")
@given(st.text(max_size=40) | urls)
def test_any_url(tmp_path: Path, url: str) -> None:
    path = tmp_path / "token"
    path.write_text("x" * 43)
    path.chmod(0o600)
    try:
        target = make_target(url, path)
    except UsageError as error:
        one_line(error)
    else:
        assert target.host
        assert 0 < target.port < 65_536
        assert str(target)


@quick
@given(st.binary(max_size=100))
def test_any_token_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    path.chmod(0o600)
    try:
        token = read_token(path)
    except UsageError as error:
        one_line(error)
    else:
        assert token.isascii()
        assert token.isprintable()

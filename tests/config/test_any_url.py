"""Whatever stands as the store's URL is taken or refused in the settings' own way, and holds no password when it is taken."""

from __future__ import annotations

import contextlib
from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from brokertuner_tui.config.settings import StoreSettings

PARTS = st.sampled_from(
    ["postgresql://", "me", ":secret", "@", "[::1", "]", "host", ":5432", ":99999999", "/", "db", "?password=x", "#"]
)


@given(st.text() | st.lists(PARTS, max_size=9).map("".join))
def test_any_url(url: str) -> None:
    with contextlib.suppress(ValidationError):
        taken = StoreSettings(url=url).url
        assert taken == url
        assert urlsplit(url).password is None
        assert "password=" not in url

"""Which answers an endpoint may give, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from brokertuner_tui.service.models import ErrorAnswer

_MEANING = {
    400: "The Host is not one of this service's, or this is no HTTP.",
    401: "The token is missing or wrong.",
    403: "Another site's request, or changes are off.",
    404: "There is none.",
    408: "The body did not arrive in time.",
    409: "Not now: another change is under way, the key was used, the mode does not allow it, or there is no session or load.",
    413: "The body is too large.",
    415: "The body is no JSON.",
    422: "A value is not allowed; `field` names it.",
    429: "Too many changes: see Retry-After.",
    503: "The broker, the load or the service cannot; the message says why.",
    504: "Not in time.",
}
_ALWAYS = (400, 401, 403, 408, 413, 422)
OPEN = (400, 403, 408, 413, 422)
"""Of endpoints that need no token."""


def answers(*codes: int, always: tuple[int, ...] = _ALWAYS) -> dict[int | str, dict[str, Any]]:
    """For `responses=`."""
    return {code: {"model": ErrorAnswer, "description": _MEANING[code]} for code in sorted({*always, *codes})}

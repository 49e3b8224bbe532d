"""What the service answers when it cannot do what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse


class ApiError(Exception):
    """An answer that is no success: `{"error": {"code", "message", "field", ...}}`."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        self.status, self.code, self.headers = status, code, dict(headers or {})
        line = " ".join(message.split()) or code
        self.error: dict[str, Any] = {"code": code, "message": line, "field": field, **more}
        super().__init__(line)

    def response(self) -> JSONResponse:
        """As HTTP."""
        return JSONResponse({"error": self.error}, self.status, self.headers)

"""The OpenAPI document is true: schemathesis asks every endpoint for what it allows and for what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import positive_data_acceptance

from brokertuner_tui.service.app import make_app
from brokertuner_tui.service.context import Service
from brokertuner_tui.service.gate import GateRules
from tests.service.agents import Agent, left_of
from tests.service.client import Client

# A broker may refuse knobs that are legal, and so do we where they can only do harm (memory_limit); endpoints say what they
# cannot do now. A load may be too large as a whole although each of its numbers is allowed.
_CONFIG = SchemathesisConfig.from_dict(
    {
        "max-stream-events": 1,
        "checks": {"not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", 503, 504]}},
        "operations": [
            {
                "include-path-regex": "^/(load|apply_knobs)$",
                "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "409", "422", "503"]}},
            }
        ],
    }
)
_MOST_CLIENTS = 20


def document() -> dict[str, Any]:
    """The document of a service; it says the same whatever the service's broker is."""
    service: Any = Service.__new__(Service)
    for name in Service.__slots__:
        object.__setattr__(service, name, None)
    return make_app(service, GateRules("x", frozenset(), 1, 1.0)).openapi()


schema = schemathesis.openapi.from_dict(document(), config=_CONFIG)


@schema.hook
def filter_body(context: Any, body: Any) -> bool:
    """Leaves out loads that would keep this machine busy for nothing."""
    profile = body.get("profile") if context.operation.path == "/load" and isinstance(body, dict) else None
    if not isinstance(profile, dict):
        return True
    clients = [profile.get(name, 0) for name in ("publishers", "subscribers", "offline_subscribers", "topics")]
    numbers = [*clients, profile.get("payload_bytes", 0) / 1000 if isinstance(profile.get("payload_bytes"), float | int) else 0]
    return all(not isinstance(number, int | float) or number <= _MOST_CLIENTS for number in numbers)


@pytest.fixture(autouse=True)
def no_children_left() -> None:
    """Broker and load are other processes after a test than before it; `client` sees to their end."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, mosquitto: Path) -> Iterator[Client]:
    """A service with a real broker."""
    agent = Agent(tmp_path_factory.mktemp("described"), mosquitto)
    before = set(psutil.Process().children(recursive=True))
    try:
        yield agent.start()
    finally:
        agent.stop()
    started = [child for child in psutil.Process().children(recursive=True) if child not in before]
    assert not left_of([child for child in started if "reaper.py" not in " ".join(child.cmdline())])


def is_trap(response: Response) -> bool:
    """Whether knobs were refused that are legal, because they can only do harm to this broker: no schema can tell which."""
    return response.status_code == 422 and response.json()["error"]["code"] == "trap"


@schema.parametrize()
@settings(max_examples=10, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_every_endpoint_does_what_its_document_says(case: schemathesis.Case[Any], client: Client) -> None:
    headers = {"Authorization": f"Bearer {client.token}"}
    response = case.call(base_url=client.url, headers=headers, timeout=60)
    case.validate_response(response, headers=headers, excluded_checks=[positive_data_acceptance] if is_trap(response) else [])

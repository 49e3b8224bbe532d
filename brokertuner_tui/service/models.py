"""What the service answers, for its OpenAPI document; the core's own dataclasses where they are answered as they are."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from brokertuner_tui.broker.interface import Applied, Difference
from brokertuner_tui.connection.tracker import ConnectionStatus
from brokertuner_tui.knobs.catalogue import CATALOGUE, Knob
from brokertuner_tui.workload import limits
from brokertuner_tui.workload.load import LoadStatus

KnobSet = dict[str, int | bool]


class Error(BaseModel):
    """Why not."""

    code: str
    message: str = Field(description="One line.")
    field: str | None = Field(None, description="What is wrong: a knob, a key of the body, a parameter, a header.")
    log: str | None = Field(None, description="The broker's own words.")
    restored: Applied | None = Field(None, description="What was put back and verified; null if that failed as well.")
    retry_after_s: float | None = None
    differences: list[Difference] = Field([], description="With `drifted`: how the config is not as it was left.")


class ErrorAnswer(BaseModel):
    """Every answer that is no success."""

    error: Error


class Health(BaseModel):
    """The process serves."""

    status: Literal["ok"]


class Ready(BaseModel):
    """Whether work can be done."""

    ready: bool
    reasons: list[str]


class AgentInfo(BaseModel):
    """This process."""

    version: str
    pid: int
    started_at: float
    boot_id: str = Field(description="Another one with every start of the agent.")


class EndpointInfo(BaseModel):
    """Where clients reach the broker from the agent's host; never who we are there."""

    host: str
    port: int
    protocol: int
    transport: Literal["tcp", "websockets"]
    path: str
    tls: bool


class BrokerInfo(BaseModel):
    """The broker."""

    kind: str
    program: str
    host: str
    port: int
    version: tuple[int, int, int] | None
    pid: int | None
    started_at: float | None
    state: Literal["stopped", "starting", "listening", "reloading", "stopping", "failed"]
    restarts: int
    knobs: KnobSet | None
    baseline: KnobSet
    error: str
    last_applied: Applied | None
    last_good: KnobSet | None = Field(description="What a failure goes back to; null: a session judges that.")
    endpoint: EndpointInfo
    drift: list[Difference] = Field(description="How its config is not as it was left: somebody else has changed it.")


class UnderWayInfo(BaseModel):
    """The change that is being made."""

    key: str
    since: float


class WaitingInfo(BaseModel):
    """A change that is in force and not confirmed."""

    key: str
    since: float
    client: str


class RolledBackInfo(BaseModel):
    """What the agent took back by itself; told until something is changed or confirmed again."""

    at: float
    reason: str
    keys: list[str]


class ProposalInfo(BaseModel):
    """What the agent would try next (mode `recommend`, or a session that only reads)."""

    at: float
    trial: int = Field(description="The trial that would measure it.")
    knobs: KnobSet
    changed: list[str]
    needs_restart: bool
    source: str
    why: str


class JudgedInfo(BaseModel):
    """The guard's word on the SLO after a trial."""

    at: float
    trial: int
    verdict: Literal["pass", "fail", "inconclusive"]
    reasons: list[str]
    in_a_row: int
    rolled_back: bool


class RestartsInfo(BaseModel):
    """How many restarts the agent may still cause."""

    at: float
    left: int | None
    until: float | None = Field(description="None are allowed before this time (the epoch's seconds).")
    why: str


class SessionInfo(BaseModel):
    """The tuning session."""

    run: str
    state: str
    trial: int
    workload: str
    preset: str
    pinned: KnobSet
    best_knobs: KnobSet | None
    reason: str = Field(description="Why it is in this state.")
    mode: Literal["recommend", "guarded", "autonomous"]
    read_only: bool
    limits: list[str] = Field(description="What the guard minds, in words.")
    proposal: ProposalInfo | None = Field(description="Waits for /proposal/apply or /proposal/skip.")
    slo: JudgedInfo | None = Field(description="The guard's last word that was worth telling.")
    restarts: RestartsInfo | None = Field(description="null: there is no limit.")
    drift: list[Difference] = Field(description="The session waits for /reconcile.")


class State(BaseModel):
    """Everything at this moment."""

    agent: AgentInfo
    allow_changes: bool
    broker: BrokerInfo
    change: UnderWayInfo | None
    unconfirmed: WaitingInfo | None
    rolled_back: RolledBackInfo | None
    session: SessionInfo | None
    load: LoadStatus | None
    connections: dict[str, ConnectionStatus] = Field(description="`heartbeat`, `$SYS`, `agent`: those that are in use.")


class KnobInfo(BaseModel):
    """One entry of the catalogue."""

    name: str
    unit: str
    type: Literal["int", "bool"]
    min: int
    max: int
    default: int | bool
    special: dict[str, str] = Field(description="Values with a meaning of their own, beside min to max.")
    effect: Literal["reload", "restart"]
    meaning: str


class Knobs(BaseModel):
    """The knobs in force (or verified last, while the broker is down), and what each is."""

    knobs: KnobSet
    baseline: KnobSet
    catalogue: list[KnobInfo]


class Would(BaseModel):
    """What the change does."""

    how: Literal["reload", "restart", "none"]
    changed: list[str]


class ApplyAnswer(BaseModel):
    """The change was verified to be in force, or would have this effect."""

    status: Literal["ok"]
    dry_run: bool
    key: str | None
    applied: Applied | None
    would: Would
    knobs: KnobSet
    replayed: bool


class ReconcileAnswer(BaseModel):
    """A drift was settled, and what is in force was verified."""

    status: Literal["ok"]
    key: str
    applied: Applied | None
    knobs: KnobSet
    replayed: bool


class RestartAnswer(BaseModel):
    """The broker was restarted and verified."""

    status: Literal["ok"]
    key: str
    applied: Applied | None
    replayed: bool


class ChangeAnswer(BaseModel):
    """A change and what came of it."""

    key: str
    kind: Literal["apply", "restart", "ours", "theirs"]
    state: Literal["under_way", "applied", "failed", "unknown_after_crash_resolved", "rolled_back"]
    at: float
    knobs: KnobSet = Field(description="All eleven: those aimed at while it is under way, then those in force after it.")
    applied: Applied | None
    error: Error | None
    confirmed: bool = Field(description="Whether no further word is needed (see `confirm` of /apply_knobs).")


class ConfirmAnswer(BaseModel):
    """The change is the last known good."""

    status: Literal["ok"]
    key: str
    knobs: KnobSet


class Ok(BaseModel):
    """Done, or taken."""

    status: Literal["ok"]


class Seconds(BaseModel):
    """How long it took."""

    seconds: float


class Runs(BaseModel):
    """Runs in the store, the newest first."""

    runs: list[dict[str, Any]]


def knob_schema(knob: Knob) -> dict[str, Any]:
    """One knob's values as JSON schema."""
    if knob.type == "bool":
        return {"type": "boolean", "description": knob.meaning}
    extra = sorted(value for value in knob.special if not knob.low <= value <= knob.high)
    whole = {"type": "integer", "minimum": knob.low, "maximum": knob.high}
    described = {"description": f"{knob.meaning} Unit: {knob.unit}."}
    return {"anyOf": [whole, {"type": "integer", "enum": extra}], **described} if extra else {**whole, **described}


def body_of(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON body for OpenAPI."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": required}


KNOBS_SCHEMA = {**_object({knob.name: knob_schema(knob) for knob in CATALOGUE}, []), "minProperties": 1}
KEEP_SCHEMA = _object({"keep": {"type": "string", "enum": ["ours", "theirs"]}}, ["keep"])
PIN_SCHEMA = {
    "anyOf": [
        _object(
            {
                "knob": {"type": "string", "enum": [knob.name]},
                "value": {"anyOf": [knob_schema(knob), {"type": "null", "description": "What is in force."}]},
                "pinned": {"type": "boolean", "default": True},
            },
            ["knob"],
        )
        for knob in CATALOGUE
    ]
}
_WHOLE = {"type": "integer"}
PROFILE_SCHEMA = {
    **_object(
        {
            "name": {"type": "string", "minLength": 1, "maxLength": 100},
            "publishers": {**_WHOLE, "minimum": 1, "maximum": limits.MAX_CLIENTS},
            "subscribers": {**_WHOLE, "minimum": 0, "maximum": limits.MAX_CLIENTS},
            "topics": {**_WHOLE, "minimum": 1, "maximum": limits.MAX_CLIENTS},
            "qos": {**_WHOLE, "minimum": 0, "maximum": 2},
            "payload_bytes": {**_WHOLE, "minimum": limits.MIN_PAYLOAD_BYTES, "maximum": limits.MAX_PAYLOAD_BYTES},
            "rate": {"type": "number", "minimum": 0, "maximum": 10_000_000},
            "window": {**_WHOLE, "minimum": 1, "maximum": limits.MAX_WINDOW},
            "slo_ms": {"type": "number", "exclusiveMinimum": 0, "maximum": 600_000},
        },
        ["name"],
    ),
    "additionalProperties": True,
    "description": "A profile as `workload --list --json` has it: these keys, and the others of a [workload.NAME] table.",
}
LOAD_SCHEMA = _object({"profile": PROFILE_SCHEMA}, ["profile"])
READY_SCHEMA = _object({"deadline_s": {"type": "number", "exclusiveMinimum": 0, "maximum": 600}}, ["deadline_s"])
DRAIN_SCHEMA = _object({"drain_s": {"type": "number", "minimum": 0, "maximum": 600, "default": 0}}, [])
EVENT_SCHEMA = {
    **_object(
        {
            "event": {"type": "string", "enum": ["sample", "session"]},
            "id": {"type": "string", "description": "Counts from 1."},
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "description": "As /telemetry, or `session` of /state.",
            },
        },
        ["event", "id", "data"],
    ),
    "description": "One server-sent event.",
}

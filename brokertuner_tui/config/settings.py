"""Every setting, its type, its bounds and its default. `brokertuner.toml` documents each one for the operator."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from brokertuner_tui.config.hours import Hours


class Section(BaseModel):
    """A frozen table of the config; unknown keys are errors."""

    # Strict: a number in quotes, or true for 1, is a slip of the pen and is said. Text from the environment and the
    # command line is converted before (`config/fields.py`).
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class CommandSettings(Section):
    """`[broker.command]`: programs with their arguments, run without a shell; an empty list: there is none."""

    restart: list[str] = []
    reload: list[str] = []
    status: list[str] = []
    """Exit code 0: the broker runs."""
    log: list[str] = []
    """Prints the broker's log; `{since}` becomes the moment from which on, in seconds since 1970."""
    pid: list[str] = []
    """Prints the PID of the broker, as this machine counts them."""


class BrokerSettings(Section):
    """`[broker]`: which broker, and how long it may take."""

    kind: Literal["managed", "systemd", "command", "remote"] = "managed"
    mosquitto: Path | None = None
    """The program; None: found."""
    host: str = Field(
        "127.0.0.1", max_length=255, pattern=r"^[^\s\[\]/@]+$", description="a host name, or an address without brackets"
    )
    """Of a broker that we do not manage."""
    port: int = Field(0, ge=0, le=65_535)
    """0: a free one for the managed broker, for others the transport's usual one (`config/credentials.py`)."""
    transport: Literal["tcp", "websockets"] = "tcp"
    ws_path: str = Field(
        "/mqtt", max_length=1024, pattern=r"^/[!-~]*$", description="text that begins with / and has no spaces"
    )
    protocol: Literal["3.1.1", "5"] = "5"
    """What our own clients speak; those of the load speak what the workload says."""
    username: str | None = Field(
        None, max_length=1024, pattern=r"^[^\x00-\x1f\x7f]+$", description="text without control characters"
    )
    password_file: Path | None = None
    """Its first line is the password; else it is in the environment. Never a setting: the store keeps all settings."""
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    tls_name: str | None = Field(
        None, max_length=255, pattern=r"^[^\s\[\]/@]+$", description="a host name, or an address without brackets"
    )
    """The name that the broker's certificate must have; None: the host's."""
    extra_conf: Path | None = None
    """A file of your own that the managed broker includes, before ours: the knobs win over it."""
    url: str | None = Field(None, max_length=2048, pattern=r"^https?://\S+$", description="a URL like https://host:8080")
    """Of the agent that has the broker; for kind `remote`."""
    token_file: Path | None = None
    """A copy of the agent's token file; nobody else may read it."""
    agent_ca_file: Path | None = None
    """Whom to believe that an agent is the one; None: whom the system believes."""
    connection: Literal["default", "high-availability", "unstable-network"] = "default"
    """When a connection to the broker or its agent counts as lost, and how often it is tried again (`connection/policy.py`)."""
    broker_restart_stable_sec: float = Field(20.0, gt=0, le=600)
    broker_reload_stable_sec: float = Field(3.0, gt=0, le=600)
    mosquitto_pid: int | None = Field(None, ge=1, le=2**22)
    """Process of a broker that we do not manage; the managed broker's PID is our own to know. Also `MOSQUITTO_PID`."""
    tuner_config: Path | None = None
    """Knob file that a broker which we do not manage includes. Also `MOSQUITTO_TUNER_CONFIG`."""
    main_config: Path | None = None
    """Main config file of a broker that we do not manage."""
    config_seen_as: Path | None = None
    """What the broker calls the folder of `main_config`, where that differs: inside a container."""
    unit: str = Field(
        "mosquitto.service", max_length=255, pattern=r"^[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]*$", description="the name of a unit"
    )
    systemctl: list[str] = Field(["systemctl"], min_length=1)
    """The program that talks to systemd, with what has to stand before it (`sudo -n`)."""
    command: CommandSettings = CommandSettings()


class LoadSettings(Section):
    """`[load]`: which traffic, and who makes it."""

    workload: str = "fanout"
    generator: Literal["builtin", "emqtt_bench"] = "builtin"
    side: Literal["here", "agent"] = "here"
    """Where the load runs when the broker is another host's: here, or at its agent's side."""
    check_freq: int = Field(5, ge=1)
    """Steps between two checks of the load's process."""
    ready_sec: float = Field(5.0, gt=0, le=600)
    """Deadline for the load's connections after a change."""


class LiveSettings(Section):
    """`[live]`: how traffic that is really there is looked at (`workload = "live"`)."""

    probe_rate: float = Field(5.0, gt=0, le=1000)
    """Messages a second at each QoS, in pairs; fewer where that is more than `probe_share` of the packets, 1 at least."""
    probe_share: float = Field(0.01, gt=0, le=1)
    probe_qos: str = Field("0,1,2", pattern=r"^[012](,[012]){0,2}$", description="some of 0, 1 and 2, separated by commas")
    probe_topic: str = Field(
        "brokertuner/probe", max_length=200, pattern=r"^[^\s+#$][^\s+#]*$", description="a topic without spaces, + and #"
    )
    """Where the probe's topics begin; a random part follows."""
    probe_payload_bytes: int = Field(64, ge=24, le=1_048_576)
    slo_ms: float = Field(50.0, gt=0, le=600_000)
    window_sec: float = Field(10.0, gt=0, le=3600)
    """A trial measures for so long at least, and on until `$SYS` has come twice."""
    subscribe: list[str] = []
    """Topic filters to listen to, read-only: each costs the broker one delivery more a message."""
    sequence: str = Field("auto", pattern=r"^(auto|none|leading|json:.+)$", description="auto, none, leading or json:KEY")
    margin: float = Field(0.2, gt=0, le=1)
    """A trial ends early when the share in time falls so far below that of the default."""


class TuningSettings(Section):
    """`[tuning]`: the loop."""

    preset: Literal["slo", "classic"] = "slo"
    total_timesteps: int = Field(60, ge=1)
    step_interval_sec: float = Field(1.0, gt=0, le=3600)
    """Length of a measurement."""
    window_min_share: float = Field(0.3, gt=0, le=1)
    """Of that, at least, before a measurement is cut because its setting is clearly bad; 1: it never is."""
    window_max_share: float = Field(2.0, ge=1, le=10)
    """Of that, at most, when a setting cannot be told from the best; 1: never longer."""
    settle_sec: float = Field(0.25, ge=0, le=3600)
    """Between the load's reconnection and the measurement; the load's own RTT and SLO are added."""
    max_steps: int = Field(200, ge=1)
    """Steps of an episode of the environment."""
    max_seconds: float | None = Field(None, gt=0)
    start_attempts: int = Field(5, ge=1, le=1000)
    """How often what a run needs (the broker, its agent, the load) is tried before the run gives up."""
    start_wait_sec: float = Field(10.0, gt=0, le=600)
    """Between two of these attempts."""
    confirm_windows: int = Field(5, ge=2, le=100)
    """Interleaved windows of default and best before the best counts as confirmed."""
    ablation_windows: int = Field(4, ge=0, le=100)
    """Then, windows of the best without each knob that it changes, in turns: what each is worth; 0: none."""
    on_stop: Literal["best", "default", "current"] = "best"
    """What stays in force at the end: the best confirmed knobs, the broker's defaults, or the last ones tried."""
    pin: dict[str, int | bool | str] = {}
    """Knobs that the agent must leave alone, and their values."""
    mode: Literal["recommend", "guarded", "autonomous"] = "guarded"
    """Who applies: a person; the agent, which waits for a person when it cannot tell; the agent alone."""
    read_only: bool = False
    """Measure only: nothing of the broker is ever changed."""
    exploration: float = Field(0.5, ge=0, le=1)
    """How daring proposals are: 0: only what is believed to be best; 0.5: as the preset says; 1: twice that."""
    warm_start: bool = True
    """Begin with what earlier runs in the store have measured under the same load, whatever it was called (preset slo)."""
    safety: float | None = Field(None, ge=0, le=1)
    """How close to what is known to be good: 1 - safety of each knob's range at most; None: 0 for a load of our own making,
    0.875 under live traffic."""
    restarts_per_hour: int | None = Field(None, ge=0)
    """How often the agent may restart the broker; None: as often as it likes."""
    no_restarts: list[str] = Field([], description='a list of hours such as "22:00-06:00" (local time)')
    """Hours in which the agent does not restart the broker."""
    save_freq: int = Field(1, ge=1)
    """Trials between two checkpoints."""

    @field_validator("no_restarts")
    @classmethod
    def _are_hours(cls, texts: list[str]) -> list[str]:
        for text in texts:
            Hours.parse(text)
        return texts


class GuardSettings(Section):
    """`[guard]`: the SLO that the broker has to keep whatever is tried; None: not minded."""

    on_time_share: float | None = Field(None, gt=0, le=1)
    """Of the deliveries that were due: so many arrive in time, at least."""
    p99_ms: float | None = Field(None, gt=0, le=600_000)
    loss_share: float | None = Field(None, ge=0, lt=1)
    memory_mib: float | None = Field(None, gt=0)
    cpu_percent: float | None = Field(None, gt=0)
    """Of one core."""
    tolerance: float = Field(0.05, ge=0, le=1)
    """A figure may miss its limit by this share of it."""
    windows: int = Field(1, ge=1, le=100)
    """So many windows in a row must miss before it counts."""
    inconclusive_limit: int = Field(5, ge=1, le=1000)
    """After so many windows in a row that nothing can be said of, a guarded session pauses."""


class ClassicReward(Section):
    """`[reward.classic]`: alpha * clients + beta * rate - gamma * cpu - delta * mem."""

    alpha: float = Field(1.0, ge=0)
    beta: float = Field(1.0, ge=0)
    gamma: float = Field(0.5, ge=0)
    delta: float = Field(0.5, ge=0)
    clients_norm: float = Field(1000.0, gt=0)
    rate_norm: float = Field(10_000.0, gt=0)
    cpu_norm: float = Field(400.0, gt=0)
    """Per cent of one core that count as 1."""
    mem_norm_bytes: float = Field(float(2**30), gt=0)
    ctx_norm: float = Field(1e6, gt=0)


class SloReward(Section):
    """`[reward.slo]`: on-time goodput, less what it costs."""

    cpu_weight: float = Field(0.02, ge=0, le=1)
    """Off for a whole core."""
    memory_weight: float = Field(0.02, ge=0, le=1)
    """Off for a GiB."""
    restart_weight: float = Field(0.01, ge=0, le=1)
    """Off for a restart."""


class RewardSettings(Section):
    """`[reward]`."""

    classic: ClassicReward = ClassicReward()
    slo: SloReward = SloReward()


class AgentSettings(Section):
    """`[agent]`: DDPG. None means: what the preset says (`agent/presets.py`)."""

    device: str = Field("cpu", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")
    lr: float | None = Field(None, gt=0, le=1)
    batch_size: int | None = Field(None, ge=1, le=65_536)
    gamma: float | None = Field(None, ge=0, lt=1)
    tau: float | None = Field(None, gt=0, le=1)
    hidden: int | None = Field(None, ge=4, le=4096)
    buffer_size: int = Field(100_000, ge=1)


_STORE_URL = "a URL such as postgresql://USER@HOST:5432/DATABASE, without a password: see password_file"


class StoreSettings(Section):
    """`[store]`: where results go."""

    save_dir: Path | None = None
    """Store, checkpoints and logs; None: the user's data folder."""
    url: str | None = Field(None, description=_STORE_URL)
    """The store in a database instead of the file `store.db` in `save_dir`."""
    password_file: Path | None = None
    """Its first line is the database's password; None: libpq's own ways (~/.pgpass, PGPASSWORD)."""
    connect_attempts: int = Field(5, ge=1, le=1000)
    """How often a database that is away is tried when a session begins."""
    connect_wait_sec: float = Field(10.0, gt=0, le=600)
    """Between two of these attempts."""
    spool_mib: int = Field(64, ge=1, le=4096)
    """How much may wait on this machine while the database is away."""

    @field_validator("url")
    @classmethod
    def _holds_no_secret(cls, url: str | None) -> str | None:
        # Settings are kept in the store and shown.
        if url is not None:
            parts = urlsplit(url)
            _ = parts.port  # raises ValueError where it is none
            named = {name for name, _ in parse_qsl(parts.query)}
            secret = parts.password is not None or named & {"password", "sslpassword"}
            if parts.scheme != "postgresql" or secret or len(parts.path) < 2 or not url.isprintable() or parts.fragment:
                raise ValueError(_STORE_URL)
        return url


class ServiceSettings(Section):
    """`[service]`: `brokertuner-tui serve`."""

    host: str = Field(
        "127.0.0.1", max_length=255, pattern=r"^[^\s\[\]/@]+$", description="a host name, or an address without brackets"
    )
    port: int = Field(8080, ge=0, le=65_535)
    """0: a free one."""
    allow_changes: bool = False
    token_file: Path | None = None
    """None: `service/token` in the folder of the results."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    allowed_hosts: str = Field(
        "", max_length=4096, pattern=r"^[^\s/@]*$", description="names separated by commas, without spaces and ports"
    )
    """More names that clients may call us by."""
    max_body_bytes: int = Field(65_536, ge=1024, le=65_536)
    request_sec: float = Field(10.0, gt=0, le=600)
    change_sec: float = Field(120.0, gt=0, le=3600)
    rollback_sec: float = Field(120.0, gt=0, le=86_400)
    """Of a tuner's silence."""
    max_streams: int = Field(16, ge=1, le=100)


class TuiSettings(Section):
    """`[tui]`: the screen."""

    theme: str = "dark"
    ascii: bool = False
    """Plain characters only."""
    keymap: dict[str, str] = {}
    """Binding id to key(s), for example `pause = "space,f5"`."""


class Settings(Section):
    """The whole config, workloads aside (see `config/workloads.py`)."""

    broker: BrokerSettings = BrokerSettings()
    load: LoadSettings = LoadSettings()
    live: LiveSettings = LiveSettings()
    tuning: TuningSettings = TuningSettings()
    guard: GuardSettings = GuardSettings()
    reward: RewardSettings = RewardSettings()
    agent: AgentSettings = AgentSettings()
    store: StoreSettings = StoreSettings()
    service: ServiceSettings = ServiceSettings()
    tui: TuiSettings = TuiSettings()
    seed: int = Field(0, ge=0, lt=2**32)

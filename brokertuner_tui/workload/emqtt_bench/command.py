"""What emqtt_bench can make of a profile, on which brokers, and its command line (options as in 0.6.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from brokertuner_tui.errors import ConfigError
from brokertuner_tui.mqtt.endpoint import Endpoint
from brokertuner_tui.workload.load import LoadImpossible
from brokertuner_tui.workload.profile import Profile

_TIME_HEADER_BYTES = 8
_MOST_TOPICS = 8


@dataclass(frozen=True, slots=True)
class Group:
    """Clients of one kind that one process makes."""

    kind: str
    """`sub` or `pub`."""
    count: int
    topic: str


def groups_of(profile: Profile, prefix: str) -> list[Group]:
    """The processes that make `profile`: one pair where topics allow it, else one pair a topic.

    Raises:
        LoadError: emqtt_bench cannot make this profile; the message names the key.
    """
    _refuse(profile)
    if profile.topics == 1:
        topics, name = [(profile.subscribers, profile.publishers)], f"{prefix}/0"
        return _pairs(topics, [name])
    if profile.topics == profile.publishers == profile.subscribers:
        return _pairs([(profile.subscribers, profile.publishers)], [f"{prefix}/%i"])
    if profile.topics > _MOST_TOPICS:
        raise LoadImpossible(
            f"emqtt_bench cannot make workload {profile.name}: topics = {profile.topics}: 1, at most {_MOST_TOPICS}, "
            "or as many as publishers and subscribers"
        )
    counts = [
        tuple(len(range(topic, clients, profile.topics)) for clients in (profile.subscribers, profile.publishers))
        for topic in range(profile.topics)
    ]
    return _pairs([(subs, pubs) for subs, pubs in counts], [f"{prefix}/{topic}" for topic in range(profile.topics)])


def _pairs(counts: Sequence[tuple[int, int]], names: Sequence[str]) -> list[Group]:
    subscribers = [Group("sub", subs, name) for (subs, _), name in zip(counts, names, strict=True) if subs]
    return subscribers + [Group("pub", pubs, name) for (_, pubs), name in zip(counts, names, strict=True) if pubs]


def _refuse(profile: Profile) -> None:
    if profile.parts:
        names = ", ".join(part.name for part in profile.parts)
        raise LoadImpossible(
            f"emqtt_bench cannot make workload {profile.name}: it is a mix ({names}), for the built-in load only"
        )
    wishes = {
        "client_rtt_ms": profile.client_rtt_ms > 0,
        "burst": profile.burst is not None,
        "offline_subscribers": profile.offline_subscribers > 0,
        "connects": profile.connects > 0,
    }
    wished = [key for key, wish in wishes.items() if wish]
    if wished:
        raise LoadImpossible(f"emqtt_bench cannot make workload {profile.name}: it has no {', '.join(wished)}")
    if profile.rate > 1000 * profile.publishers:
        raise LoadImpossible(
            f"emqtt_bench cannot make workload {profile.name}: rate = {profile.rate:g}: "
            f"at most 1,000 for each of its {profile.publishers} publishers"
        )


def check(endpoint: Endpoint) -> None:
    """Refuses a broker that emqtt_bench cannot get into as safely as we do.

    Raises:
        ConfigError: it cannot.
    """
    if endpoint.password is not None:
        wants = "a password, which emqtt_bench takes on its command line only, for everybody to read"
    elif endpoint.tls is not None:
        wants = "TLS, and emqtt_bench does not check whose certificate it is"
    elif endpoint.transport == "websockets":
        wants = "WebSocket, which is left to the built-in load"
    else:
        return
    raise ConfigError("the load", "generator", "emqtt_bench", f"the broker {endpoint} wants {wants}; use builtin")


def interval_ms(profile: Profile) -> int:
    """Whole milliseconds between two messages of one publisher; 0 in a closed loop."""
    return max(1, round(1000 * profile.publishers / profile.rate)) if profile.rate > 0 else 0


def arguments(profile: Profile, group: Group, endpoint: Endpoint, name: str, metrics_port: int) -> list[str]:
    """emqtt_bench's command line for one process, without the program."""
    common = ["-h", endpoint.host, "-p", str(endpoint.port), "-V", str(profile.protocol), "-c", str(group.count), "-i", "1"]
    common += ["-t", group.topic, "-q", str(profile.qos), "--prefix", name]
    if endpoint.username is not None:
        common += ["-u", endpoint.username]
    common += ["--payload-hdrs", "ts", "--prometheus", "--restapi", f"127.0.0.1:{metrics_port}"]
    if group.kind == "sub":
        session = [] if profile.clean_session else ["-C", "false", "-x", "3600"]
        return ["sub", *common, *session]
    size = max(1, profile.payload_bytes - _TIME_HEADER_BYTES)  # the header comes on top of the size
    # Without -F it has one message under way; without -w it begins before all are connected.
    return ["pub", *common, "-s", str(size), "-I", str(interval_ms(profile)), "-F", str(profile.window), "-w"]

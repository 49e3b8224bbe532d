"""Tunes a live Mosquitto MQTT broker with DDPG, in the terminal and headless."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["EnvConfig", "MosquittoBrokerEnv", "__version__", "make_ddpg_model", "make_env"]

if TYPE_CHECKING:
    from brokertuner_tui.agent.library import make_ddpg_model
    from brokertuner_tui.env.mosquitto_env import EnvConfig, MosquittoBrokerEnv, make_env

_HOMES = {
    "EnvConfig": "brokertuner_tui.env.mosquitto_env",
    "MosquittoBrokerEnv": "brokertuner_tui.env.mosquitto_env",
    "make_env": "brokertuner_tui.env.mosquitto_env",
    "make_ddpg_model": "brokertuner_tui.agent.library",
}


def __getattr__(name: str) -> Any:
    # Lazy (PEP 562): `import brokertuner_tui` and `--help` must not pay for torch or gymnasium.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

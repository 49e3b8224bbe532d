"""The few MQTT packets that the probes and the built-in load need, as bytes; no sockets, no state."""

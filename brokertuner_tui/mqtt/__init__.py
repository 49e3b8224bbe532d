"""What clients need to speak MQTT: packets, TLS, WebSocket, and the endpoint that says how; no sockets, no state."""

"""The terminal app. It shows what a session tells and sends what the operator asks for; it has no logic of its own."""

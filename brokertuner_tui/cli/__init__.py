"""The headless front end: commands, options, and what they print. No logic of its own."""

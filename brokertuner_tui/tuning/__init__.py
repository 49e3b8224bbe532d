"""The tuning session: one state machine in one thread. Commands go in, events come out; it knows no front end."""

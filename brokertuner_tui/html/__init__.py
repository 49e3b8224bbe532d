"""Pages that open offline: one file, with charts of our own, no script needed to read them, nothing fetched from anywhere."""

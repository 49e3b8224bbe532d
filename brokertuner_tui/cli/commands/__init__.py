"""One file a command: its options and its help. Whatever it needs is imported when it runs, so that help is quick."""

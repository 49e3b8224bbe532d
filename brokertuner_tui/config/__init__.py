"""Settings: what there is, where a value may come from, and one clear line when it is not acceptable."""

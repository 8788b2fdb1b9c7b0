"""The shared-memory index: one writer, any number of lock-free readers."""

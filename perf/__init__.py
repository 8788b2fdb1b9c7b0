"""The harness that compares native and interposed I/O."""

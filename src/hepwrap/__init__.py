"""hepwrap: run unmodified programs on CernVM-FS repositories without mounting anything."""

__version__ = "0.1.0"

"""Meaning: mounts, path resolution, catalogues, trust, publishing, and the shared index."""

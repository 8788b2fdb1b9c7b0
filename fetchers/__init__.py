"""Bytes by name from elsewhere."""

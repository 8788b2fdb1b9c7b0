"""A writer of repositories in the CernVM-FS format."""

"""Mechanism: catches the system calls of a process tree and answers them. Knows nothing of repositories."""

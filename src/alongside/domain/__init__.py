"""Frozen values and their rules. Nothing here opens a file, a socket or a process."""

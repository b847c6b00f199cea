"""From facts to findings: each check is a pure function."""

"""Putting the daemon on a host as a systemd service, and taking it off again.

`unit`, `plan_install` and `plan_uninstall` are pure; `look` sees how the host stands, and
`carry_out` changes it.
"""

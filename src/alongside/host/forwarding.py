"""Whether the kernel hands on what is for other machines, as it must for containers."""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc/sys")
IPV4 = "net.ipv4.ip_forward"
# An engine asks for both: an interface that comes later begins with the second.
IPV6 = ("net.ipv6.conf.all.forwarding", "net.ipv6.conf.default.forwarding")


def off(*, ipv6: bool) -> list[str]:
    """The settings that are 0 and would have to be 1, as sysctl names them. `ipv6`: whether this
    host has it."""
    wanted = (IPV4, *(IPV6 if ipv6 else ()))
    return [name for name in wanted if _value(name) == "0"]


def _value(name: str) -> str:
    try:
        return (_PROC / name.replace(".", "/")).read_text().strip()
    except FileNotFoundError:  # a kernel without IPv6
        return ""

"""Every check. Ids stay; docs/doctor.md has each, which a test sees to."""

from __future__ import annotations

from alongside.doctor.checks import access, engine, firewall, instances, kernel, ports, repository
from alongside.doctor.finding import Check

# What the person at the terminal sees, and the daemon does not.
PERSONAL = (
    Check("daemon", "Whether the daemon answers, in this version", access.daemon),
    Check("socket", "The socket's mode and group, and yours", access.socket),
    Check("hooks", "The hooks of the repository you stand in", repository.hooks),
)
HOST = (
    Check("engine", "Whether the engine answers, and which it is", engine.engine),
    Check("engine-firewall", "How the engine filters and masquerades", engine.firewall_backend),
    Check("userland-proxy", "Whether docker-proxy serves local ports", engine.userland_proxy),
    Check("requirements", "What the daemon asks for at its start", engine.requirements),
    Check("nft-versions", "Whether there is more than one nft", engine.nft_versions),
    Check("buildx", "Whether images can be built by BuildKit", engine.buildx),
    Check("kernel", "The kernel's version", kernel.version),
    Check("ip-forward", "Whether IPv4 is forwarded to containers", kernel.ip_forward),
    Check("ipv6-forward", "Whether IPv6 is forwarded to containers", kernel.ipv6_forward),
    Check("accept-ra", "Whether forwarding costs the IPv6 default route", kernel.accept_ra),
    Check("rp-filter", "The reverse path filter", kernel.rp_filter),
    Check("conntrack", "How full the table of connections is", kernel.conntrack),
    Check("table", "Whether the kernel has the rules that are wanted", instances.table),
    Check("instances", "Whether what is to run does", instances.instances),
    Check("images", "Whether releases have their images", instances.images),
    Check("proxy-address", "The address on lo for containers' IPv6", instances.proxy_address),
    Check("daemon-problems", "What the daemon itself reports", instances.daemon_problems),
    Check("parts", "Whether every part of the daemon runs", instances.parts),
    Check("listeners", "Programs on public ports", ports.shadowed),
    Check("published", "Containers that publish public ports", ports.published),
    Check("local-ports", "Programs on instances' local ports", ports.local_ports),
    Check("pool", "Whether instances' addresses are nobody else's", ports.pool),
    Check("foreign-nat", "Others' rules that have packets first", firewall.taken),
    Check("foreign-forward", "Others' rules that drop what goes to instances", firewall.forwarding),
    Check("foreign-input", "Others' rules that drop what containers send", firewall.local_input),
    Check("firewalls", "ufw, firewalld, and tables that cannot be read", firewall.readable),
    Check("state-folder", "Whose the state folder is", access.state),
    Check("space", "Room for images, builds and the history", access.space),
)
CHECKS = (*PERSONAL, *HOST)

# ruff: noqa: E101 -- nft mixes tabs and spaces
from __future__ import annotations

from alongside.router.listing import parse_listing
from alongside.router.table import Collection, ListedChain

# `nft -s -y list table inet alongside`, nft 1.0.6, shortened.
TEXT = """\
table inet alongside {
	set bridges {
		type ifname
		elements = { "al-0000000000",
			     "docker0" }
	}

	set retired4 {
		type ipv4_addr . inet_service
		flags timeout
		elements = { 10.213.0.2 . 53 timeout 10s }
	}

	map guard6 {
		type ipv6_addr : verdict
		flags interval
		elements = { fd00::/64 : goto guard-al-0000000000,
			     fd00:0:0:ffff::1 : goto guard-proxy }
	}

	map ports {
		type inet_proto . inet_service : verdict
	}

	chain schema-1 {
	}

	chain prerouting {
		type nat hook prerouting priority -110; policy accept;
		fib daddr type local goto dispatch
	}

	chain port-53-udp {
		meta nfproto ipv4 meta l4proto udp dnat ip to 10.213.0.2:53 comment "dns@1.0.0 53/udp, {x}"
	}
}
"""


def test_a_listing_is_read_as_nft_prints_it() -> None:
    listing = parse_listing(TEXT)
    assert listing.foreign == ()
    assert listing.collections == {
        "bridges": Collection(
            "set", "bridges", "ifname", elements={'"al-0000000000"': "", '"docker0"': ""}
        ),
        "retired4": Collection(
            "set",
            "retired4",
            "ipv4_addr . inet_service",
            "timeout",
            {"10.213.0.2 . 53 timeout 10s": ""},
        ),
        "guard6": Collection(
            "map",
            "guard6",
            "ipv6_addr : verdict",
            "interval",
            {
                "fd00::/64": "goto guard-al-0000000000",
                "fd00:0:0:ffff::1": "goto guard-proxy",
            },
        ),
        "ports": Collection("map", "ports", "inet_proto . inet_service : verdict"),
    }
    assert listing.chains == {
        "schema-1": ListedChain("", ()),
        "prerouting": ListedChain(
            "type nat hook prerouting priority -110; policy accept;",
            ("fib daddr type local goto dispatch",),
        ),
        "port-53-udp": ListedChain(
            "",
            (
                "meta nfproto ipv4 meta l4proto udp dnat ip to 10.213.0.2:53 "
                'comment "dns@1.0.0 53/udp, {x}"',
            ),
        ),
    }
    assert listing.refers_to("dispatch")
    assert listing.refers_to("guard-proxy")
    assert not listing.refers_to("port-53-udp")


def test_what_is_not_ours_is_kept_in_sight() -> None:
    text = TEXT.replace("{\n", "{\n\tflags dormant\n", 1).replace(
        "\tchain schema-1 {\n", "\tcounter mine {\n\t}\n\n\tchain schema-1 {\n"
    )
    assert parse_listing(text).foreign[:2] == ("flags dormant", "counter mine {")

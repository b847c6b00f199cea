from __future__ import annotations

import pytest

from alongside.domain.nearest import nearest


@pytest.mark.parametrize(
    ("name", "known", "sentence"),
    [
        ("dsn", ["dns", "web"], "Did you mean dns?"),
        ("WEB", ["dns", "web"], "Did you mean web?"),
        ("zzz", ["web", "dns"], "Released are: dns, web."),
        ("zzz", [], "Released are none yet."),
        (
            "zzz",
            [f"n{i}" for i in range(12)],
            "Released are: n0, n1, n10, n11, n2, n3, n4, n5, n6, n7, …",
        ),
    ],
)
def test_nearest(name: str, known: list[str], sentence: str) -> None:
    assert nearest(name, known, what="released are") == sentence

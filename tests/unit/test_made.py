from __future__ import annotations

from alongside.made import Each, Made, others


def test_the_same_values_are_made_once() -> None:
    made: Made[object] = Made()
    first = made.of("key", (1, (2, 3)), object)
    assert made.of("key", (1, (2, 3)), object) is first
    assert made.of("other", (1, (2, 3)), object) is not first
    assert made.of("key", (1, (2, 4)), object) is not first


def test_no_more_is_kept_than_the_limit() -> None:
    made: Made[object] = Made(limit=2)
    first = made.of(1, (), object)
    made.of(2, (), object)
    made.of(3, (), object)
    assert made.of(1, (), object) is not first


class Source:
    """Equal to any other, as two routes may be, and not the same."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


def test_only_what_is_another_object_is_made_again() -> None:
    each: Each[Source, object] = Each()
    made: list[Source] = []

    def make(source: Source) -> object:
        made.append(source)
        return object()

    one, two, three, four = Source(), Source(), Source(), Source()
    first = each.of((one, two), make)
    second = each.of((one, three), make)
    assert made == [one, two, three]
    assert made[2] is three
    assert second[0] is first[0]
    # One more, one less, another order.
    third = each.of((four, one, three), make)
    assert third[1:] == second
    assert len(made) == 4
    assert each.of((one,), make) == [first[0]]
    assert len(made) == 4
    # What they were made under counts as well, and an answer is nobody else's list.
    assert each.of((one,), make, under=each)[0] is not first[0]
    each.of((one,), make, under=each).clear()
    assert len(each.of((one,), make, under=each)) == 1


def test_others_looks_at_who_and_not_at_what() -> None:
    one, two = Source(), Source()
    assert others([one, two], [one, two]) == []
    assert others([one, two], [two, two]) == [0]

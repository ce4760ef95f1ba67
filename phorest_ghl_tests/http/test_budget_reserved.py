"""Departures reserved for those who come next."""

from phorest_ghl.http.budget_reserved import ReservedDepartures


def test_each_reserved_departure_is_taken_once_and_by_its_own_kind_of_caller() -> None:
    reserved = ReservedDepartures(keeps_s=0.1)
    reserved.keep("contacts", [5.0, 5.1])
    assert reserved.take("rest", 5.0) is None
    assert [reserved.take("contacts", 5.0) for _ in range(3)] == [5.0, 5.1, None]


def test_a_departure_that_was_missed_is_lost() -> None:
    reserved = ReservedDepartures(keeps_s=0.1)
    reserved.keep("contacts", [5.0, 5.15])
    assert reserved.take("contacts", 5.2) == 5.15


def test_who_asks_now_and_then_reserves_for_nobody_else() -> None:
    reserved = ReservedDepartures(keeps_s=0.1)
    for second in range(5):
        reserved.take("contacts", float(second))
        assert reserved.worth_reserving("contacts", float(second)) == 1


def test_who_asks_often_reserves_for_as_many_as_came_and_for_eight_at_most() -> None:
    reserved = ReservedDepartures(keeps_s=0.1)
    for step in range(3):
        reserved.take("contacts", step * 0.01)
    assert reserved.worth_reserving("contacts", 0.02) == 3
    for step in range(3, 30):
        reserved.take("contacts", step * 0.01)
    assert reserved.worth_reserving("contacts", 0.29) == 8


def test_what_was_reserved_before_a_refusal_is_given_up() -> None:
    reserved = ReservedDepartures(keeps_s=0.1)
    reserved.keep("contacts", [5.0])
    reserved.give_up()
    assert reserved.take("contacts", 5.0) is None

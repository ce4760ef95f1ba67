"""The judge of the demo: it can say no."""

from typing import Any

from phorest_ghl.commands.demo_truth import Truth, judge


def client(
    household: str, *, email: str | None = None, phone: str | None = None, syncable: bool = True
) -> dict[str, Any]:
    return {"truth": {"syncable": syncable, "email": email, "phone": phone, "household": household}}


def test_every_client_on_one_contact_is_what_it_wants() -> None:
    clients = [
        client("a", email="a@example.test"),
        client("a", email="a@example.test", phone="+353861"),
        client("b", phone="+353862"),
    ]
    contacts = [{"id": "1", "email": "a@example.test", "phone": "+353861"}, {"id": "2", "phone": "+353862"}]
    truth = judge(clients, contacts)
    assert truth == Truth(syncable=3, on_one_contact=3, twice=0, missing=0)
    assert truth.holds


def test_a_household_on_two_contacts_is_counted_as_twice() -> None:
    clients = [client("a", email="a@example.test", phone="+353861")]
    contacts = [{"id": "1", "email": "a@example.test"}, {"id": "2", "phone": "+353861"}]
    truth = judge(clients, contacts)
    assert truth.twice == 1
    assert not truth.holds


def test_a_client_without_a_contact_is_missing() -> None:
    truth = judge([client("a", email="a@example.test")], [{"id": "1", "email": "b@example.test"}])
    assert truth == Truth(syncable=1, on_one_contact=0, twice=0, missing=1, unasked=1)
    assert not truth.holds


def test_clients_that_are_not_to_be_synced_do_not_count() -> None:
    assert judge([client("a", email="a@example.test", syncable=False)], []) == Truth(0, 0, 0, 0)


def test_a_contact_of_a_client_that_is_not_to_be_synced_is_one_that_nobody_asked_for() -> None:
    truth = judge([client("a", phone="+353861", syncable=False)], [{"id": "1", "phone": "+353861"}])
    assert truth.unasked == 1
    assert not truth.holds


def test_emails_compare_without_case() -> None:
    assert judge([client("a", email="a@example.test")], [{"id": "1", "email": "A@Example.TEST"}]).holds

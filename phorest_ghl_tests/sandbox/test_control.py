"""The control surface: truth, switches, clock, acting as a person."""

import pytest

from phorest_ghl_tests.sandbox.driver import Driver


def test_the_state_counts_both_sides(drive: Driver) -> None:
    drive.contact(email="a@example.com")
    state = drive.control("GET", "/state").json
    assert state["phorest"]["clients"] == 60
    assert state["ghl"]["contacts"] == 1
    truths = drive.control("GET", "/phorest/clients").json
    assert state["phorest"]["syncable_clients"] == sum(row["truth"]["syncable"] for row in truths)
    assert len(truths) == 61


def test_the_truth_of_a_client_follows_what_people_do(drive: Driver) -> None:
    row = next(row for row in drive.control("GET", "/phorest/clients").json if row["truth"]["syncable"])
    key = row["clientId"]

    def why(**changed: object) -> object:
        answer = drive.control("PATCH", f"/phorest/clients/{key}", changed)
        assert answer.status == 200
        return next(row for row in drive.control("GET", "/phorest/clients").json if row["clientId"] == key)["truth"][
            "why_not"
        ]

    assert why(archived=True) == "archived"
    assert why(archived=False, banned=True) == "banned"
    assert why(banned=False, mobile=None, email=" ") == "no contact point"
    assert why(email="Back@Example.com") is None
    assert why(mergedToClientId=drive.world.walk_in) == "merged"


def test_an_edit_at_the_desk_raises_version_and_date(drive: Driver) -> None:
    key, row = next(iter(drive.world.phorest["clients"].rows.items()))
    changed = drive.control("PATCH", f"/phorest/clients/{key}", {"notes": "x"}).json
    assert changed["version"] == row["version"] + 1
    assert changed["updatedAt"] >= row["updatedAt"]
    assert drive.phorest("GET", f"/client/{key}").json == changed


def test_a_person_in_ghl_may_do_what_an_integration_may_not(drive: Driver) -> None:
    key = drive.contact(email="a@example.com", phone="+353875551234")["id"]
    stop = {"SMS": {"status": "permanent", "message": "STOP"}}
    row = drive.control(
        "PATCH", f"/ghl/contacts/{key}", {"dndSettings": stop, "additionalEmails": ["b@example.com"]}
    ).json
    assert row["dndSettings"] == stop
    assert drive.ghl("PUT", f"/contacts/{key}", {"dndSettings": {"SMS": {"status": "inactive"}}}).status == 400
    assert drive.control("PATCH", f"/ghl/contacts/{key}", {"nonsense": 1}).status == 400


def test_rows_can_be_removed_on_either_side(drive: Driver) -> None:
    key = drive.contact()["id"]
    client = next(iter(drive.world.phorest["clients"].rows))
    assert drive.control("DELETE", f"/ghl/contacts/{key}").status == 200
    assert drive.control("DELETE", f"/phorest/clients/{client}").status == 200
    assert drive.ghl("GET", f"/contacts/{key}").status == 400
    assert drive.phorest("GET", f"/client/{client}").status == 404
    assert drive.control("DELETE", f"/ghl/contacts/{key}").status == 400


@pytest.mark.parametrize(
    "wrong", [{"nonsense": 1}, {"ghl_window": "round"}, {"ghl_rate_max": "many"}, {"phorest_wrong_region": 1}]
)
def test_a_switch_that_does_not_exist_or_fit_is_refused_with_a_sentence(
    drive: Driver, wrong: dict[str, object]
) -> None:
    answer = drive.control("POST", "/switches", wrong)
    assert answer.status == 400
    assert answer.json["error"].endswith(".")


def test_every_switch_can_be_set_to_itself(drive: Driver) -> None:
    switches = drive.control("GET", "/switches").json
    assert drive.control("POST", "/switches", switches).json == switches


def test_unknown_kinds_and_paths_are_refused(drive: Driver) -> None:
    assert drive.control("GET", "/phorest/unicorns").status == 400
    assert drive.control("GET", "/nothing").status == 404

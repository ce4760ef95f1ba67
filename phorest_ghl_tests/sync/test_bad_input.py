"""Everything that goes wrong outside, over real HTTP: the sentence that a person reads, and that nothing else is lost."""

import re
from collections.abc import Callable

import pytest

from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.phorest.pages import MalformedPage
from phorest_ghl.sandbox.server import SandboxServer
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.rig import Rig, installation, opened, options

pytestmark = pytest.mark.road

CLIENTS = "GET /client"
PEOPLE = 450
"""Three pages of clients."""


@pytest.fixture
def salon(database: Database) -> Rig:
    """A salon of three pages, in place of the small one."""
    with installation(database.url, clients=PEOPLE) as rig:
        yield rig


# --- Phorest's answers


@pytest.mark.parametrize("kind", ["html", "truncated", "500", "reset"])
def test_a_damaged_page_is_asked_for_again(salon: Rig, kind: str) -> None:
    salon.fault(kind, CLIENTS, api="phorest", count=2)
    result = salon.load()["client"]
    assert result.complete
    assert salon.count("phorest_clients") == PEOPLE + 1


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("html", r"GET /client: Phorest answered 502 \(transient\).*; run again later; nothing is lost\."),
        ("truncated", r"GET /client: Phorest gave no answer \(unreachable\), .*; check the network and the base URL"),
        ("503", r"GET /client: Phorest answered 503 \(transient\).*; run again later; nothing is lost\."),
    ],
)
def test_a_list_that_stays_damaged_says_so_and_moves_no_cursor(salon: Rig, kind: str, sentence: str) -> None:
    salon.fault(kind, CLIENTS, api="phorest", rate=1.0)
    with pytest.raises(ApiError) as raised:
        salon.load()
    assert re.fullmatch(sentence + ".*", str(raised.value)), str(raised.value)
    assert salon.count("phorest_branches") == 1  # what was read before stays
    assert salon.rows("select 1 as one from import_cursors where entity_type = 'client'") == []
    salon.calm()
    assert salon.load()["client"].inserted == PEOPLE + 1


def test_a_page_without_an_embedded_list_is_an_empty_page(rig: Rig) -> None:
    """Phorest leaves `_embedded` out where nothing matches."""
    for row in rig.sandbox.truth("phorest/categories"):
        rig.sandbox.control("DELETE", f"/phorest/categories/{row['clientCategoryId']}")
    results = rig.load()
    empty = results["client_category"]
    assert (empty.seen, empty.total_elements, empty.complete, empty.suspiciously_empty) == (0, 0, True, False)
    assert results["client"].inserted == len(rig.clients())


def test_an_empty_answer_where_many_were_expected_deletes_nothing(rig: Rig) -> None:
    rig.load()
    for row in rig.sandbox.truth("phorest/categories"):
        rig.sandbox.control("DELETE", f"/phorest/categories/{row['clientCategoryId']}")
    result = rig.load()["client_category"]
    assert result.suspiciously_empty
    assert not result.complete
    assert rig.count("phorest_client_categories where deleted_at is null") == 10


NULLABLE = (
    "firstName", "lastName", "mobile", "linkedClientMobile", "linkedClientId", "landLine", "email", "address", "birthDate",
    "clientSince", "gender", "notes", "smsMarketingConsent", "emailMarketingConsent", "smsReminderConsent",
    "emailReminderConsent", "preferredStaffId", "externalId", "creatingBranchId", "archived", "banned", "deleted",
    "clientCategoryIds", "creditAccount", "loyaltyCard", "mergedToClientId", "firstVisit", "lastVisit",
    "lastVisitedBranchId",
)  # fmt: skip


def test_nulls_everywhere_optional_are_imported_and_count_as_no_consent(rig: Rig) -> None:
    first, second = rig.clients(syncable=True)[:2]
    rig.answer_oddly(first["clientId"], **dict.fromkeys(NULLABLE))
    rig.answer_oddly(second["clientId"], **dict.fromkeys(set(NULLABLE) - {"mobile", "email", "creatingBranchId"}))
    result = rig.run()
    assert result.outcomes["failed"] == result.outcomes["rejected"] == 0
    assert rig.rows("select reason from work_items") == []
    contact = rig.contact_of(second["clientId"])
    assert {setting["status"] for setting in contact["dndSettings"].values()} == {"active"}
    held = rig.rows("select first_name, archived from phorest_clients where phorest_id = :id", id=first["clientId"])
    assert held == [{"first_name": None, "archived": False}]


def test_an_unknown_enum_and_an_unknown_field_are_kept_and_stop_nothing(rig: Rig) -> None:
    client = rig.clients(syncable=True)[0]["clientId"]
    rig.answer_oddly(client, gender="SOMETHING_NEW", favouriteColour="teal")
    result = rig.load()["client"]
    assert result.complete
    assert not result.set_aside
    stored = rig.rows("select gender, raw from phorest_clients where phorest_id = :id", id=client)[0]
    assert stored["gender"] == "SOMETHING_NEW"
    assert stored["raw"]["favouriteColour"] == "teal"


@pytest.mark.parametrize(
    "odd",
    [
        {"birthDate": "31/12/1990"},
        {"birthDate": "2023-02-30"},
        {"loyaltyCard": {"serial": "x", "points": "many"}},
        {"archived": "perhaps"},
        {"notes": "half an emoji \\ud83d"},
        {"notes": "NUL \u0000 inside"},
    ],
    ids=["a date in words", "a day that is none", "points in words", "a flag that is a text", "an escape", "a NUL"],
)
def test_an_odd_optional_value_costs_neither_the_client_nor_the_others(rig: Rig, odd: dict[str, object]) -> None:
    client = rig.clients(syncable=True)[0]["clientId"]
    rig.answer_oddly(client, **odd)
    result = rig.load()["client"]
    assert result.complete
    assert not result.set_aside
    assert rig.count("phorest_clients") == len(rig.clients())
    rig.confirm()
    assert rig.apply().outcomes["failed"] == 0
    rig.contact_of(client)


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"version": "seven"}, "the record's version is missing or of another type than Phorest documents"),
        ({"version": None}, "the record's version is missing or of another type than Phorest documents"),
        ({"version": 2**63}, "PostgreSQL has no place for one of its values (NumericValueOutOfRange)"),
    ],
)
def test_a_client_that_cannot_be_kept_is_set_aside_and_taken_up_when_it_is_well_again(
    rig: Rig, odd: dict[str, object], reason: str
) -> None:
    client = rig.clients(syncable=True)[0]["clientId"]
    rig.answer_oddly(client, **odd)
    result = rig.load()["client"]
    assert result.set_aside == (client,)
    assert result.complete  # one bad record holds nobody up
    assert rig.count("phorest_clients") == len(rig.clients()) - 1
    items = rig.rows("select phorest_id, reason, state from work_items")
    assert items == [{"phorest_id": client, "reason": reason, "state": "open"}]
    rig.edit_client(client, version=50)
    assert rig.load()["client"].inserted == 1
    assert rig.rows("select state from work_items") == [{"state": "resolved"}]


def test_a_page_that_stays_unreadable_is_named_and_all_others_are_written(
    salon: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    importer = salon.importer()
    read = importer._client.page

    def sick(spec: object, number: int, **more: object) -> object:
        if number == 1:
            raise MalformedPage("the answer of GET /client is not JSON; it may be cut off or an error page")
        return read(spec, number, **more)

    monkeypatch.setattr(importer._client, "page", sick)
    result = importer.clients()["client"]
    assert dict(result.failed_pages) == {1: "the answer of GET /client is not JSON; it may be cut off or an error page"}
    assert not result.complete
    assert result.watermark is None
    assert salon.count("phorest_clients") == PEOPLE + 1 - 200
    assert salon.load()["client"].inserted == 200


def test_an_invalid_phone_or_email_is_no_contact_point_and_never_sent(rig: Rig) -> None:
    both, one = [row for row in rig.clients(syncable=True) if row["truth"]["phone"]][:2]
    rig.edit_client(both["clientId"], mobile="call mother", email="not-an-address@")
    rig.edit_client(one["clientId"], mobile="087 123 4567 or 087 765 4321", email="good.one@example.com")
    result = rig.run()
    assert result.outcomes["rejected"] == result.outcomes["failed"] == 0
    assert not any(both["clientId"] in contact["customFields"].values() for contact in rig.contacts())
    contact = rig.contact_of(one["clientId"])
    assert (contact["email"], contact.get("phone")) == ("good.one@example.com", None)


# --- GHL refuses the content


def test_content_that_ghl_refuses_is_rejected_once_and_tried_again_only_when_it_changes(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phorest_ghl.sandbox.ghl import contact_writes  # noqa: PLC0415 - the fault is made inside the sandbox

    honest = contact_writes.stored_phone
    client = next(row for row in rig.clients(syncable=True) if row["truth"]["phone"])
    picky = client["truth"]["phone"]
    monkeypatch.setattr(contact_writes, "stored_phone", lambda v, c: None if v == picky else honest(v, c))
    result = rig.run()
    assert result.reasons["rejected"] == {"GHL refused the content (422, invalid)": result.outcomes["rejected"]}
    assert result.outcomes["applied"] > 0
    rig.forget_requests()
    again = rig.run()
    assert rig.requests("POST", "/contacts/") == 0
    assert again.reasons["rejected"] == {
        "GHL refused this content before, and it has not changed": again.outcomes["rejected"]
    }
    household = client["truth"]["household"]
    for row in rig.clients(household=household):
        rig.edit_client(row["clientId"], mobile="+353 86 555 2995")
    assert rig.run().outcomes["rejected"] == 0
    rig.check_everyone_is_on_one_contact()


# --- wrong settings and dead credentials: everything stops with what to do, and nothing is written


def wrong_password(settings: dict[str, str]) -> None:
    settings["PHOREST_CLIENT_SECRET"] = "wrong-password"


def unknown_business(settings: dict[str, str]) -> None:
    settings["PHOREST_BUSINESS_ID"] = "nobody-knows-it"


def wrong_token(settings: dict[str, str]) -> None:
    settings["GHL_PRIVATE_TOKEN"] = "pit-00000000-0000-0000-0000-000000000000"


def wrong_location(settings: dict[str, str]) -> None:
    settings["GHL_LOCATION_ID"] = "anotherLocation00000"


def nobody_listens(settings: dict[str, str]) -> None:
    settings["PHOREST_API_BASE_URL"] = "http://127.0.0.1:9/"


@pytest.fixture(scope="module")
def shared() -> SandboxServer:
    """A sandbox that refuses; nothing in it changes."""
    with SandboxServer(options(clients=5)) as running:
        yield running


@pytest.mark.parametrize(
    ("spoil", "category", "sentence"),
    [
        (wrong_password, Category.AUTH, r"Phorest answered 401 \(auth\).*; check the credentials in the settings"),
        (unknown_business, Category.GONE, r"Phorest answered 404 \(gone\).*; look the record up there"),
        (
            nobody_listens,
            Category.UNREACHABLE,
            r"Phorest gave no answer \(unreachable\).*; check the network and the base",
        ),
    ],
)
def test_wrong_settings_of_phorest_stop_the_import_with_what_to_do(
    shared: SandboxServer,
    database: Database,
    spoil: Callable[[dict[str, str]], None],
    category: Category,
    sentence: str,
) -> None:
    settings = dict(shared.settings)
    spoil(settings)
    with opened(shared, database.url, **settings) as rig, pytest.raises(ApiError, match=sentence) as raised:
        rig.importer().clients()
    assert raised.value.category is category
    assert "wrong-password" not in str(raised.value)


def test_the_wrong_region_of_phorest_is_named_as_such(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    from phorest_ghl.sandbox.phorest.gate import PhorestApi  # noqa: PLC0415 - the fault is made inside the sandbox
    from phorest_ghl.sandbox.wire import Reply  # noqa: PLC0415

    elsewhere = {"location": "https://api-gateway-us.phorest.com/third-party-api-server/api/business"}
    monkeypatch.setattr(PhorestApi, "_wrong_door", lambda *_: Reply(302, b"", headers=dict(elsewhere)))
    with pytest.raises(ApiError, match=r"answered 302 \(wrong region\).*set the base URL of the region") as raised:
        rig.load()
    assert raised.value.category is Category.WRONG_REGION


@pytest.mark.parametrize(
    ("spoil", "category", "sentence"),
    [
        (wrong_token, Category.AUTH, r"GoHighLevel answered 401 \(auth\).*; check the credentials in the settings"),
        (wrong_location, Category.FORBIDDEN, r"GoHighLevel answered 403 \(forbidden\).*belong to this business or loc"),
    ],
)
def test_wrong_settings_of_ghl_stop_the_plan_with_what_to_do(
    shared: SandboxServer,
    database: Database,
    spoil: Callable[[dict[str, str]], None],
    category: Category,
    sentence: str,
) -> None:
    settings = dict(shared.settings)
    spoil(settings)
    with opened(shared, database.url, **settings) as rig:
        rig.load()
        with pytest.raises(ApiError, match=sentence) as raised:
            rig.plan()
    assert raised.value.category is category


def test_a_missing_scope_is_named_and_ends_the_run_at_once(rig: Rig, database: Database) -> None:
    scopes = [
        "contacts.readonly",
        "locations.readonly",
        "locations/customFields.readonly",
        "locations/customFields.write",
    ]
    token = rig.sandbox.control("POST", "/tokens", {"scopes": scopes})["token"]
    with opened(rig.sandbox, database.url, GHL_PRIVATE_TOKEN=token) as poor:
        result = poor.run()
    assert result.status == "failed"
    assert re.search(r"GoHighLevel answered 401 \(scope\).*give the token the missing scope", result.error or "")
    assert rig.contacts() == []
    assert sum(result.outcomes.values()) == result.total
    # The first refusals end it: not one request for every contact.
    assert rig.requests("POST", "/contacts/") <= 16
    assert rig.run().outcomes["failed"] == 0
    rig.check_everyone_is_on_one_contact()


def test_a_token_revoked_in_the_middle_of_a_run_ends_it_and_the_next_one_goes_on(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phorest_ghl.sandbox.ghl.gate import GhlApi  # noqa: PLC0415 - the fault is made inside the sandbox
    from phorest_ghl.sandbox.wire import Reply  # noqa: PLC0415

    honest, left = GhlApi.answer, [8]

    def revoked(self: GhlApi, request: object, found: object) -> Reply:
        left[0] -= 1
        refusal = {"statusCode": 401, "message": "Invalid Private Integration token"}
        return honest(self, request, found) if left[0] >= 0 else Reply(401, refusal)

    rig.load()
    rig.confirm()
    sync = rig.sync()
    prepared = sync.prepare()
    plan = sync.plan(prepared)
    with monkeypatch.context() as patched:
        left[0] = 8
        patched.setattr(GhlApi, "answer", revoked)
        result = rig.carry_out(sync, plan, prepared)
    assert result.status == "partial"
    assert re.search(r"GoHighLevel answered 401 \(auth\), Invalid Private Integration token", result.error or "")
    assert len(rig.contacts()) in (7, 8)  # one of the eight answers may be to the read of the first contact
    assert result.reasons["deferred"] == {"the run stopped early (auth)": result.outcomes["deferred"]}
    assert rig.run().outcomes["failed"] == 0
    rig.check_everyone_is_on_one_contact()


# --- limits


def test_a_rate_limit_from_the_first_request_costs_time_and_nothing_else(database: Database) -> None:
    with installation(database.url, clients=20, switches={"ghl_rate_max": 5, "phorest_rate_max": 30}) as rig:
        rig.fault("429", "*", count=3, retry_after="0")
        rig.fault("429", "*", api="phorest", count=1, retry_after="0")
        result = rig.run()
        assert result.outcomes["failed"] == result.outcomes["rejected"] == 0
        rig.check_everyone_is_on_one_contact()


def test_a_day_without_requests_left_defers_the_rest_to_the_next_one(database: Database) -> None:
    with installation(database.url, clients=40, switches={"ghl_daily_max": 50}) as rig:
        result = rig.run()
        assert set(result.reasons["deferred"]) == {"GHL's daily quota"}
        assert 0 < len(rig.contacts()) <= 50
        assert result.outcomes["failed"] == 0

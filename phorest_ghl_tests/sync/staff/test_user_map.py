"""Who of the staff is a human, and which user each seems to be; what a person wrote in salon.toml stays."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phorest_ghl.ghl.users import User
from phorest_ghl.salon_file import StaffUser, add_staff_users, staff_users
from phorest_ghl.settings import SettingsError
from phorest_ghl.sync.staff.humans import PSEUDO, StaffRow, humans, is_pseudo
from phorest_ghl.sync.staff.user_map import propose
from phorest_ghl_tests.sync.staff.team import row


def user(user_id: str, first: str = "Aoife", last: str = "Byrne", email: str = "") -> User:
    return User.model_validate({"id": user_id, "firstName": first, "lastName": last, "email": email})


@pytest.mark.parametrize(
    ("staff", "pseudo"),
    [
        (row("S", "Room", "1"), True),
        (row("S", "NO SHOW", ""), True),
        (row("S", "Waiting", "List"), True),
        (row("S", "Training", "Account", email="training@example.com"), True),
        (row("S", "", "", hidden=True), True),
        (row("S", "", "", hidden=True, phone="+353871234567"), False),
        (row("S", "Room", "Keeper", user_id="U1"), False),
        (row("S", "Roomy", "Testa"), False),
        (row("S", hidden=True), False),
    ],
)
def test_a_column_of_the_diary_that_is_nobody_is_known_by_its_words_and_a_human_by_its_login(
    staff: StaffRow, pseudo: bool  # noqa: FBT001
) -> None:  # fmt: skip
    assert is_pseudo(staff) is pseudo


def test_further_words_of_the_salon_count_too() -> None:
    assert is_pseudo(row("S", "Sala", "2"), (*PSEUDO, "Sala"))


def test_one_human_in_several_branches_is_one_by_login_or_by_name_and_address() -> None:
    found = humans(
        [
            row("S1", user_id="U1"),
            row("S2", "A.", "Byrne", user_id="U1", branch_id="B2", email="a@example.com"),
            row("S3", "a.", "BYRNE", branch_id="B3", email="a@example.com"),
            row("S4", "Niamh", "Walsh", email="salon@example.com"),
            row("S5", "Sean", "Kelly", email="salon@example.com"),
            row("S6", branch_id="B4"),
        ]
    )
    assert [[held.staff_id for held in human.rows] for human in found] == [["S1", "S2", "S3"], ["S4"], ["S5"], ["S6"]]


def test_users_are_proposed_by_email_then_by_a_name_that_is_unique_and_nobody_by_turns() -> None:
    staff = humans(
        [
            row("S1", email="aoife@example.com"),
            row("S2", "Niamh", "Walsh"),
            row("S3", "Sean", "Kelly", branch_id="B1"),
            row("S4", "Sean", "Kelly", branch_id="B2"),
            row("S5", "Zoe", "New"),
            row("S6", "Old", "Hand", archived=True),
        ]
    )
    users = [
        user("U1", "Other", "Name", "Aoife@Example.com"),
        user("U2", "niamh", "WALSH"),
        user("U3", "Sean", "Kelly"),
        user("U4", "Old", "Hand"),
        user("U5", "Front", "Desk"),
    ]
    found = {p.human.key: (p.user.id if p.user else None, p.by) for p in propose(staff, users)}
    assert found == {
        "S1": ("U1", "email"),
        "S2": ("U2", "name"),
        "S3": (None, "nothing"),
        "S4": (None, "nothing"),
        "S5": (None, "nothing"),
    }


names = st.sampled_from(["Aoife", "Niamh", "Sean", ""])
addresses = st.sampled_from([None, "a@example.com", "b@example.com"])


@given(
    st.lists(st.tuples(names, addresses), max_size=8),
    st.lists(st.tuples(names, st.sampled_from(["", "a@example.com", "b@example.com"])), max_size=6),
)
def test_no_user_is_proposed_for_two_humans(staff: list[tuple[str, str | None]], users: list[tuple[str, str]]) -> None:
    rows = [row(f"S{n}", first, "", email=email) for n, (first, email) in enumerate(staff)]
    listed = [user(f"U{n}", first, "", email) for n, (first, email) in enumerate(users)]
    given_out = [p.user.id for p in propose(humans(rows), listed) if p.user is not None]
    assert len(given_out) == len(set(given_out))


LINES = [StaffUser("S1", "U1", "Aoife Byrne: found by email"), StaffUser("-S_2", None, "Niamh\nWalsh: no user")]


def test_a_proposal_counts_only_when_a_person_has_reviewed_it(tmp_path: Path) -> None:
    file = tmp_path / "salon.toml"
    assert staff_users(file) == {}
    assert add_staff_users(file, LINES) == 2
    assert staff_users(file) == {}
    file.write_text(file.read_text().replace("reviewed = false", "reviewed = true"))
    assert staff_users(file) == {"S1": "U1"}


def test_what_a_person_wrote_stays_to_the_letter_and_new_staff_wait_for_the_next_review(tmp_path: Path) -> None:
    file = tmp_path / "salon.toml"
    mine = '# mine\n[calendars]\nB1 = "C1"\n\n[staff_users]\nreviewed = true\n"S1" = "U9"  # no, it is Niamh\n[more]\nx = 1'
    file.write_text(mine)
    assert add_staff_users(file, [*LINES, StaffUser("S3", "U3", "Sean Kelly: found by name")]) == 2
    written = file.read_text()
    assert [line for line in written.splitlines() if line in mine.splitlines()] == mine.splitlines()
    assert staff_users(file) == {"S1": "U9"}
    assert '# "S3" = "U3"' in written
    assert add_staff_users(file, LINES) == 0
    assert file.read_text() == written


def test_a_file_that_is_no_toml_is_a_sentence_and_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "salon.toml"
    file.write_text("[staff_users\n")
    with pytest.raises(SettingsError, match="is no TOML"):
        add_staff_users(file, LINES)
    assert file.read_text() == "[staff_users\n"

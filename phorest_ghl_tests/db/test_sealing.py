"""What is sealed is read under any of the keys, written under the first, and shown by nothing."""

import pytest
from pydantic import SecretStr

from phorest_ghl.commands.keys import new_key
from phorest_ghl.db.sealing import Sealer, UnusableSecretKey

SECRET = SecretStr("a refresh token")


def test_several_keys_read_and_the_first_writes() -> None:
    old, new = new_key(), new_key()
    before = Sealer([old]).seal(SECRET)
    both = Sealer([new, f" {old}"])
    assert both.open(before) == SECRET
    assert not both.under_present_key(before)
    after = both.seal(SECRET)
    assert both.under_present_key(after)
    assert Sealer([new]).open(after) == SECRET
    assert SECRET.get_secret_value() not in f"{before}{after}{both!r}"


def test_a_process_with_the_old_key_alone_is_told_to_start_again() -> None:
    old, new = new_key(), new_key()
    with pytest.raises(UnusableSecretKey, match="restart this process"):
        Sealer([old]).open(Sealer([new, old]).seal(SECRET))


@pytest.mark.parametrize("keys", [[], [""], ["short"], [new_key(), "c2hvcnQ="]])
def test_a_key_that_is_none_is_a_sentence_without_the_key(keys: list[str]) -> None:
    with pytest.raises(UnusableSecretKey, match="32 bytes in base64") as raised:
        Sealer(keys)
    assert "c2hvcnQ" not in str(raised.value)

"""`auth`: authorize the marketplace app, show what its tokens are worth, and change the key that seals them.

Belongs here: the conversation with the person and the order of the steps. Does not: the endpoints (`ghl.oauth`), renewing
(`ghl.credentials`), the loopback server (`callback`).
"""

import secrets
import time
import webbrowser
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from phorest_ghl.assembly import Runtime, app, open_runtime, secret_keys, uses_app
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.commands.keys import SECRET_KEY, new_key, replace_line
from phorest_ghl.db.oauth_tokens import Held, TokenStore
from phorest_ghl.db.sealing import Sealer
from phorest_ghl.ghl.callback import Callback
from phorest_ghl.ghl.credentials import exchanged, new_tokens
from phorest_ghl.ghl.oauth import Grant, authorize_url
from phorest_ghl.settings import Settings, SettingsError

_WAIT_S = 120.0
"""For a process that is renewing the tokens from before: longer than its repeats may take, since the code is spent."""


def authorize(
    settings: Settings,
    out: Out,
    *,
    timeout_s: float,
    browse: bool,
    opener: Callable[[str], object] = webbrowser.open,
) -> Exit:
    """Send a person to GHL's page, take the code that comes back, and store the tokens that it buys."""
    settings.require("GHL_LOCATION_ID")
    wanted, location_id, state = app(settings), str(settings.ghl_location_id), secrets.token_urlsafe(32)
    with open_runtime(settings) as runtime, Callback(settings.ghl_callback_port, state) as callback:
        store, oauth = runtime.token_store(), runtime.oauth()
        url = authorize_url(settings.ghl_authorize_url, wanted, callback.url, state)
        out.say(f"Open this address on this machine, choose location {location_id}, and agree:")
        out.text.print(url, soft_wrap=True, markup=False)
        if browse:
            opener(url)
        code = callback.wait(timeout_s)
        asked_at = time.monotonic()
        grant = oauth.bought(code, callback.url)
        took_s = time.monotonic() - asked_at
        with store.one_at_a_time(_WAIT_S):  # else a renewal under way would put what it got over what is new
            _keep(runtime, store, grant, location_id, took_s)
        held = store.read(location_id)
    out.say(f"The app is authorized for location {location_id}. `phorest-ghl doctor` checks it.")
    if settings.ghl_private_token is not None:
        out.say("GHL_PRIVATE_TOKEN is set and wins: take it out of .env, so that the app's tokens are used.")
    out.result(_document(location_id, held))
    return Exit.WELL


def _keep(runtime: Runtime, store: TokenStore, grant: Grant, location_id: str, took_s: float) -> None:
    """Store a pair, and a token for the location where the pair is an agency's."""
    client_id = str(runtime.settings.ghl_client_id)
    if grant.location_id is None and grant.company_id is not None:
        company_id = grant.company_id
        agency = new_tokens(
            grant, holder=company_id, client_id=client_id, user_type="Company", company_id=company_id, took_s=took_s
        )
        store.keep(agency)  # first: an exchange that fails can be repeated, the code cannot
        asked_at = time.monotonic()
        given = runtime.oauth().for_location(agency.access, company_id, location_id)
        store.keep(exchanged(given, location_id, company_id, client_id, took_s=time.monotonic() - asked_at))
        return
    if grant.location_id != location_id:
        raise SettingsError(
            f"The app was installed for location {grant.location_id or '(none named)'}, and GHL_LOCATION_ID is {location_id}. "
            "Nothing was stored. Run `phorest-ghl auth` again and choose that location, or correct GHL_LOCATION_ID."
        )
    store.keep(
        new_tokens(grant, holder=location_id, client_id=client_id, user_type="Location", company_id=None, took_s=took_s)
    )


def status(settings: Settings, out: Out) -> Exit:
    """Show what GHL is called with and how long it holds; asks nobody outside."""
    settings.require("GHL_LOCATION_ID")
    location_id = str(settings.ghl_location_id)
    if not uses_app(settings):
        settings.require("GHL_PRIVATE_TOKEN")
        out.say("A private integration token, which holds until it is rotated in GHL.")
        out.result({"kind": "private", "location_id": location_id})
        return Exit.WELL
    with open_runtime(settings) as runtime:
        held = runtime.token_store().read(location_id)
        agency = None if held is None or held.company_id is None else runtime.token_store().read(held.company_id)
    document = _document(location_id, held, agency)
    if held is None:
        out.say("The app has no token for this location. Run `phorest-ghl auth`.")
    else:
        for name, value in document.items():
            out.say(f"{name.replace('_', ' ')}: {value if value is not None else '–'}")
    out.result(document)
    return Exit.WELL if held is not None and document["refused_at"] is None else Exit.NEEDS_A_PERSON


def _document(location_id: str, held: Held | None, agency: Held | None = None) -> dict[str, str | int | None]:
    owner = agency if held is not None and held.refresh is None and agency is not None else held
    if held is None or owner is None:
        return {"kind": "app", "location_id": location_id, "expires_at": None, "refused_at": None}
    return {
        "kind": "app",
        "location_id": location_id,
        "given_to": "location" if owner is held else "agency",
        "company_id": held.company_id,
        "expires_at": held.expires_at.isoformat(timespec="seconds"),
        "seconds_left": max(0, round(held.left_s)),
        "renewable_until": owner.refresh_expires_at and owner.refresh_expires_at.isoformat(timespec="seconds"),
        "answer_lost_at": owner.refresh_sent_at and owner.refresh_sent_at.isoformat(timespec="seconds"),
        "refused_at": owner.refused_at and owner.refused_at.isoformat(timespec="seconds"),
        "scopes": " ".join(held.scopes),
    }


def rotate_key(settings: Settings, out: Out, *, env_file: Path, finish: bool) -> Exit:
    """Put a new key before the old ones and seal every token under it; `finish` drops the old ones, once nothing needs them.

    Two steps, because a process that runs on reads .env only when it is started again: until then it seals under the old
    key, which the others still read.
    """
    keys = secret_keys(settings)
    in_file = env_file.is_file() and _in_file(env_file, settings.secret(SECRET_KEY))
    if finish:
        with open_runtime(settings) as runtime:
            sealed = runtime.token_store().reseal()
        if in_file:
            replace_line(env_file, SECRET_KEY, keys[0])
        out.say(
            f"Every token is sealed under the present key ({sealed} sealed again). "
            + ("The earlier keys are out of the file." if in_file else f"Take the earlier keys out of {SECRET_KEY}.")
        )
        out.result({"sealed_again": sealed, "keys": 1 if in_file else len(keys)})
        return Exit.WELL
    if not in_file:
        raise SettingsError(
            f"{SECRET_KEY} does not come from {env_file}, so it cannot be changed there. Where you set it, put a new key and a "
            "comma before the old one, restart what runs, then run `phorest-ghl auth rotate-key --finish`."
        )
    fresh = (new_key(), *keys)
    Sealer(fresh)  # nothing is written that could not be read
    replace_line(env_file, SECRET_KEY, ",".join(fresh))
    changed = settings.model_copy(update={SECRET_KEY.lower(): SecretStr(",".join(fresh))})
    with open_runtime(changed) as runtime:
        sealed = runtime.token_store().reseal()
    out.say(
        f"{env_file} has a new key in front of the old one; {sealed} holders' tokens are sealed under it. Restart what runs "
        "(Dagster, `phorest-ghl dev`), then run `phorest-ghl auth rotate-key --finish`."
    )
    out.result({"sealed_again": sealed, "keys": len(fresh)})
    return Exit.WELL


def _in_file(env_file: Path, value: str) -> bool:
    lines = env_file.read_text(encoding="utf-8").splitlines()
    return any(line.strip() in (f"{SECRET_KEY}={value}", f'{SECRET_KEY}="{value}"') for line in lines)

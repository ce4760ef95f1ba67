"""Why a vendor said no: one category for every way in which a call can fail, and the one exception that carries it.

Belongs here: categories, the exception, what a person is told to do, and the one table that maps answers to categories.
Does not: what is repeated (`retry`), how bodies are read (`answer`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from phorest_ghl.http.redaction import redact

Api = Literal["phorest", "ghl"]

VENDORS = {"phorest": "Phorest", "ghl": "GoHighLevel"}


class Category(StrEnum):
    """What a failure means for the caller. Each value says what has to happen, not what the status was."""

    AUTH = "auth"
    """The credentials are not accepted: renew the token once, else a person must enter new ones."""
    SCOPE = "scope"
    """The token is good but lacks a scope; renewing it changes nothing."""
    FORBIDDEN = "forbidden"
    """The credentials belong to another business, location or kind of account."""
    WRONG_REGION = "wrong_region"
    """The base URL is another region's."""
    GONE = "gone"
    """No such record, in whatever way the vendor says so."""
    DUPLICATE = "duplicate"
    """It exists already; where the vendor names the other one, `body` holds it."""
    CONFLICT = "conflict"
    """The record changed since it was read."""
    INVALID = "invalid"
    """The vendor refuses the content; sending it again changes nothing."""
    RATE_LIMITED = "rate_limited"
    """Too many requests just now; nothing was done."""
    QUOTA_EXHAUSTED = "quota_exhausted"
    """No requests are left for today."""
    TRANSIENT = "transient"
    """The vendor's side failed on a call that may be repeated."""
    UNKNOWN_OUTCOME = "unknown_outcome"
    """A write that may or may not have happened: look before it is sent again."""
    PROTOCOL = "protocol"
    """The answer or the route is not what the vendor documents."""
    UNREACHABLE = "unreachable"
    """No answer; the call may be repeated."""


MEETS_EVERY_CALL = frozenset(
    {
        Category.AUTH,
        Category.SCOPE,
        Category.FORBIDDEN,
        Category.WRONG_REGION,
        Category.PROTOCOL,
        Category.QUOTA_EXHAUSTED,
        Category.UNREACHABLE,
    }
)
"""What would meet every further call too, so that a run ends at the first."""

_WHAT_TO_DO = {
    Category.AUTH: "check the credentials in the settings, and enter new ones if they were rotated",
    Category.SCOPE: "give the token the missing scope (an app's: `phorest-ghl auth` again), then run again",
    Category.FORBIDDEN: "check that the credentials belong to this business or location",
    Category.WRONG_REGION: "set the base URL of the region that the business belongs to",
    Category.GONE: "look the record up there; it was deleted or merged, or its id is wrong",
    Category.DUPLICATE: "use the record that exists already",
    Category.CONFLICT: "read the record again and repeat the change on what it holds now",
    Category.INVALID: "correct the record at its source; it is not sent again until it changes",
    Category.RATE_LIMITED: "run again later, or lower the share of the request budget",
    Category.QUOTA_EXHAUSTED: "wait for the next day; the work that is left is taken up then",
    Category.TRANSIENT: "run again later; nothing is lost",
    Category.UNKNOWN_OUTCOME: "look whether the write happened before it is sent again",
    Category.PROTOCOL: "check the base URL and the vendor's change log; the answer was not used",
    Category.UNREACHABLE: "check the network and the base URL, then run again",
}


class ApiError(Exception):
    """A call that did not succeed, as one sentence. Never holds a URL, a body or a personal value in its text.

    Attributes:
        category: what it means for the caller.
        api: "phorest" or "ghl"; for a budget that is used up before a call was made, the budget's key.
        operation: the route template, for instance "POST /contacts/".
        status: the HTTP status, or None where no answer came.
        trace_id: the vendor's trace id, if any; support asks for it.
        error_id: the vendor's error id (Phorest's `id`, facts/phorest-api §5).
        retry_after: seconds after which the vendor, or its rate window, lets another call through.
        vendor_message: the vendor's words, redacted; they may still hold a name, so they are for people, not for logs.
        body: the parsed JSON body or None; for code, never to be printed.
        reason: our own addition to the sentence.
        advice: what to do, where that is not what the category says.
    """

    def __init__(
        self,
        category: Category,
        *,
        api: str,
        operation: str,
        status: int | None = None,
        trace_id: str | None = None,
        error_id: str | None = None,
        retry_after: float | None = None,
        vendor_message: str = "",
        body: object = None,
        reason: str = "",
        advice: str = "",
    ) -> None:
        super().__init__(category, operation, status)
        self.category = category
        self.api = api
        self.operation = operation
        self.status = status
        self.trace_id = trace_id
        self.error_id = error_id
        self.retry_after = retry_after
        self.vendor_message = redact(vendor_message)
        self.body = body
        self.reason = redact(reason)
        self.advice = advice

    def __str__(self) -> str:
        vendor = VENDORS.get(self.api, self.api)
        answered = f"answered {self.status}" if self.status is not None else "gave no answer"
        detail = self.reason or public_words(self.vendor_message)
        ids = [
            f"{name} {value}"
            for name, value in (("trace", self.trace_id), ("error", self.error_id))
            if value is not None
        ]
        return "".join(
            (
                f"{self.operation}: {vendor} {answered} ({self.category.value.replace('_', ' ')})",
                f", {detail}" if detail else "",
                f" [{', '.join(ids)}]" if ids else "",
                f"; {self.advice or _WHAT_TO_DO[self.category]}.",
            )
        )

    def __reduce__(self) -> tuple[object, ...]:
        # The default would call __init__ with args only; process pools and Dagster pickle exceptions.
        return (_rebuilt, (self.__dict__.copy(),))


def _rebuilt(state: dict[str, object]) -> ApiError:
    error = ApiError(Category(str(state["category"])), api=str(state["api"]), operation=str(state["operation"]))
    error.__dict__.update(state)
    error.args = (error.category, error.operation, error.status)
    return error


class NotSent(Exception):
    """Nothing was sent: by the time the budget let the call through, its caller no longer wanted it."""


# The vendors' own fixed phrases (facts/ghl-api §2.4, §3, §6, §10, §11.3; facts/phorest-api §5).
_PUBLIC_WORDS = re.compile(
    r"[A-Z][A-Z0-9_]{2,60}(?:: [A-Z][A-Z0-9_]{2,60})?"
    r"|(?:property )?[\w.]{1,60} (?:should not exist|should not be empty|must be an? [a-z ]{1,40})"
    r"|[\w.]{1,60} must be one of the following values: [\w, -]{1,200}"
    r"|(?:The )?(?:contact|event|appointment|note|task|calendar|tag|location|business|branch|client|staff|user)"
    r"(?: with id [\w-]{1,64}| id)?(?: is)? (?:not found|invalid)\.?"
    r"|This location does not allow duplicated contacts\.|Not authorized to update permanent dnd setting for \w{1,20}"
    r"|The token (?:is not authorized for this scope|does not have access to this location)\.|Invalid JWT|Unauthorized"
    r"|Invalid Private Integration token|Invalid token: access token is invalid"
    r"|version header (?:was not found|is invalid)\.?"
    r"|The slot you have selected is no longer available\.|Too Many Requests|invalid_grant"
    r"|A team member needs to be selected\. assignedUserId is missing",
    re.IGNORECASE,
)


def public_words(message: str) -> str:
    """The vendor's message if it consists of field names, ids and fixed phrases, else nothing.

    No pattern recognises a person's name, so a message of unknown shape stays out of exceptions and logs.
    """
    known = bool(message) and all(_PUBLIC_WORDS.fullmatch(part) for part in message.split("; "))
    return message.removesuffix(".") if known else ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table. None in a column matches everything; the first row that matches decides.

    `words` is searched in the body, ignoring case. `repeatable` is whether the caller may send the call twice.
    """

    statuses: range
    category: Category
    source: str
    api: Api | None = None
    words: str | None = None
    methods: frozenset[str] | None = None
    repeatable: bool | None = None
    daily_spent: bool | None = None

    def matches(self, api: Api, method: str, status: int, body: str, *, repeatable: bool, daily_spent: bool) -> bool:
        """Whether this row speaks of such an answer."""
        return (
            status in self.statuses
            and (self.api is None or self.api == api)
            and (self.methods is None or method in self.methods)
            and (self.repeatable is None or self.repeatable == repeatable)
            and (self.daily_spent is None or self.daily_spent == daily_spent)
            and (self.words is None or re.search(self.words, body, re.IGNORECASE | re.DOTALL) is not None)
        )


def _only(status: int) -> range:
    return range(status, status + 1)


_CONTENT = range(400, 423)
_EXISTING = r'"meta"\s*:\s*\{.*?"contactId"\s*:\s*"[^"]+"'
_RECORD = r"\b(?:id|contact|event|appointment|note|task|calendar|user|field|tag)\b"

TABLE: tuple[Rule, ...] = (
    # Words first: both vendors reuse statuses for different things.
    Rule(
        _only(400), Category.INVALID, "facts/ghl-api §10: inner 401 about a permanent channel", "ghl", "permanent dnd"
    ),
    Rule(
        _CONTENT, Category.AUTH, "RFC 6749 §5.2; facts/ghl-api §2.2", "ghl", r'"error"\s*:\s*"invalid_(?:grant|client)"'
    ),
    Rule(_only(401), Category.PROTOCOL, "facts/ghl-api §1: version header missing or unknown", "ghl", "version header"),
    Rule(_only(401), Category.SCOPE, "facts/ghl-api §2.4", "ghl", "for this scope"),
    Rule(
        _only(401),
        Category.FORBIDDEN,
        "facts/ghl-api §2.4: token of another kind of account",
        "ghl",
        "not yet supported",
    ),
    Rule(_only(403), Category.SCOPE, "facts/ghl-api §2.4, in case a scope is refused as 403", "ghl", "for this scope"),
    Rule(
        _only(404),
        Category.PROTOCOL,
        "facts/ghl-api §3: no such route",
        "ghl",
        r"\bCannot (?:GET|POST|PUT|DELETE|PATCH) /",
    ),
    Rule(range(400, 401), Category.DUPLICATE, "facts/ghl-api §6, §16", "ghl", _EXISTING),
    Rule(range(409, 410), Category.DUPLICATE, "facts/ghl-api §6, §16", "ghl", _EXISTING),
    Rule(range(422, 423), Category.DUPLICATE, "facts/ghl-api §6, §16", "ghl", _EXISTING),
    Rule(_CONTENT, Category.DUPLICATE, "facts/ghl-api §6, §9.1", "ghl", "duplicated contacts|already exists"),
    Rule(
        _only(400),
        Category.INVALID,
        "facts/ghl-api §6: a bad address",
        "ghl",
        r"\b(?:phone|e-?mail)\w*[^.;]{0,60} invalid",
    ),
    Rule(
        _only(400), Category.GONE, "facts/ghl-api §3, §16", "ghl", rf"\bnot found\b|{_RECORD}[^.;,]{{0,60}} is invalid"
    ),
    Rule(
        _only(400),
        Category.CONFLICT,
        "facts/phorest-api §5, §15: stale version",
        "phorest",
        r"\bversion\b",
        frozenset({"PUT", "PATCH", "POST"}),
    ),
    Rule(_only(409), Category.DUPLICATE, "facts/phorest-api §5: exists already", "phorest", None, frozenset({"POST"})),
    Rule(range(500, 502), Category.PROTOCOL, "facts/phorest-api §5", "phorest", "method.{0,40}not supported"),
    Rule(_only(500), Category.PROTOCOL, "facts/phorest-api §7.5.3: no DELETE", "phorest", None, frozenset({"DELETE"})),
    # Then statuses.
    Rule(range(300, 400), Category.WRONG_REGION, "facts/phorest-api §2.1", "phorest"),
    Rule(range(300, 400), Category.PROTOCOL, "facts/ghl-api §1: one host, no redirects", "ghl"),
    Rule(_only(401), Category.AUTH, "facts/phorest-api §5; facts/ghl-api §2.4"),
    Rule(_only(403), Category.FORBIDDEN, "facts/phorest-api §5; facts/ghl-api §2.4"),
    Rule(_only(404), Category.GONE, "facts/phorest-api §5; facts/ghl-api §3"),
    Rule(_only(405), Category.PROTOCOL, "facts/phorest-api §5: unsupported method"),
    Rule(_only(409), Category.CONFLICT, "facts/phorest-api §5"),
    Rule(_only(410), Category.GONE, "RFC 9110"),
    Rule(_only(412), Category.CONFLICT, "facts/phorest-api §5"),
    Rule(_only(429), Category.QUOTA_EXHAUSTED, "facts/ghl-api §4: no requests left for the day", daily_spent=True),
    Rule(_only(429), Category.RATE_LIMITED, "facts/phorest-api §4; facts/ghl-api §4"),
    Rule(_only(501), Category.PROTOCOL, "RFC 9110: method not implemented"),
    *(
        rule
        for statuses in (
            _only(408),
            _only(425),
            range(500, 600),
        )  # 520 and neighbours are Cloudflare's (facts/ghl-api §3)
        for rule in (
            Rule(statuses, Category.TRANSIENT, "facts/ghl-api §3; facts/phorest-api §5", repeatable=True),
            Rule(statuses, Category.UNKNOWN_OUTCOME, "facts/ghl-api §19: verify before a repeat", repeatable=False),
        )
    ),
    Rule(range(400, 500), Category.INVALID, "facts/ghl-api §3; facts/phorest-api §5"),
    Rule(range(1000), Category.PROTOCOL, "not documented by either vendor"),
)
"""The one table for both APIs, read from the top."""


def classify(
    api: Api,
    method: str,
    status: int,
    body_text: str,
    repeatable: bool,  # noqa: FBT001 - part of what is classified
    *,
    headers: Mapping[str, str] | None = None,
) -> Category:
    """What an unsuccessful answer means. `headers` (lower-case names) tell a spent day from a busy moment, both 429."""
    daily_spent = (headers or {}).get("x-ratelimit-daily-remaining", "").strip() == "0"
    return next(
        rule.category
        for rule in TABLE
        if rule.matches(api, method.upper(), status, body_text, repeatable=repeatable, daily_spent=daily_spent)
    )

"""Invented names and addresses, in every spelling that salons type.

Belongs here: how one person's name, phone and email are written, and what they mean. Does not belong here: how often
each shape occurs.

Domains are reserved for documentation (example.com, .net, .org), phone numbers the fictitious 55x exchanges, so nobody
real is named.
"""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

FIRST = (
    "Aoife", "Saoirse", "Ciara", "Niamh", "Emma", "Grace", "Sophie", "Lucy", "Anna", "Kate", "Ella", "Mia", "Ruth",
    "Olivia", "Chloe", "Jack", "Conor", "James", "Adam", "Liam", "Noah", "Daniel", "Sean", "Ryan", "Luke", "Dylan",
    "Aaron", "Mark", "Paul", "Eoin",
)  # fmt: skip
LAST = (
    "Murphy", "Kelly", "Byrne", "Ryan", "Walsh", "Doyle", "Nolan", "Quinn", "Moore", "Clarke", "Hughes", "Daly",
    "Burke", "Kane", "Lynch", "Tremblay", "Roy", "Martin", "Wilson", "Taylor", "Campbell", "Stewart", "Morin",
    "Fraser", "Grant", "Reid", "Shaw", "Boyd", "Hart",
)  # fmt: skip
FIRST_OTHER = (
    "Zoë",
    "Siobhán",
    "Róisín",
    "Pádraig",
    "Łukasz",
    "Françoise",
    "Jürgen",
    "Ольга",
    "美玲",
    "Nuñez",
    "Zoe\u0308",
)
LAST_OTHER = (
    "Ó Briain",
    "O\u2019Connor",
    "O'Neill",
    "Müller",
    "Żak",
    "Ní Dhomhnaill",
    "D'Arcy",
    "Šimić",
    "Иванова",
    "李",
    "Sa\u0301nchez",
)
ODD_LAST = ("-", ".", "", "Smith (new number)", "Hair Supplies Ltd", "💇 VIP", "  Double  Space ")
DOMAINS = ("example.com", "example.net", "example.org", "mail.example.com", "post.example.net")
_IRISH = ("83", "85", "86", "87", "89")
_CANADIAN = (
    "416", "647", "905", "613", "519", "705", "807", "343", "204", "250", "306", "403", "418", "438", "450", "506",
    "514", "604", "778", "902",
)  # fmt: skip


class Phone(NamedTuple):
    """A number as typed, and the E.164 number it means; None when it means nothing."""

    written: str
    means: str | None


class Email(NamedTuple):
    """An address as typed, and what it means; None when it is no address."""

    written: str
    means: str | None


class Addresses:
    """Hands out phones and emails that nobody else has yet."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._numbers = {"IE": _shuffled(rng, len(_IRISH) * 100_000), "CA": _shuffled(rng, len(_CANADIAN) * 10_000)}
        self._count = 0

    def mobile(self, country: str) -> str:
        """A new mobile number in E.164 of the country (IE or CA)."""
        if country == "IE":
            area, tail = divmod(next(self._numbers[country]), 100_000)
            return f"+353{_IRISH[area]}55{tail:05d}"
        area, tail = divmod(next(self._numbers[country]), 10_000)
        return f"+1{_CANADIAN[area]}555{tail:04d}"

    def landline(self, country: str) -> str:
        """A landline as typed."""
        tail = f"{self._rng.randrange(10_000):04d}"
        return f"01 555 {tail}" if country == "IE" else f"416 555 {tail}"

    def email(self, first: str, last: str) -> str:
        """A new address, lower-case."""
        self._count += 1
        plain = "".join(
            letter for letter in f"{first}.{last}".lower() if letter.isascii() and (letter.isalpha() or letter == ".")
        )
        return f"{plain.strip('.') or 'client'}{self._count}@{self._rng.choice(DOMAINS)}".replace("..", ".")


def _shuffled(rng: Random, total: int) -> Iterator[int]:
    step = rng.choice([7_919, 6_373, 9_973])  # primes, so coprime to the total: each number comes once
    start = rng.randrange(total)
    return ((start + step * turn) % total for turn in range(total))


def write_phone(rng: Random, number: str) -> Phone:
    """One of the spellings salons use for a valid E.164 number (facts/phorest-api §12: mixed formats)."""
    if number.startswith("+353"):
        area, line = number[4:6], number[6:]
        spellings = (
            number, number[1:], f"0{area}{line}", f"0{area} {line[:3]} {line[3:]}",
            f"+353 {area} {line[:3]} {line[3:]}", f"00353{area}{line}", f"0{area}-{line}", f" 0{area}{line} ",
            f"+353 (0){area} {line}", f"{area}{line}",
        )  # fmt: skip
    else:
        area, line = number[2:5], number[5:]
        spellings = (
            number, number[1:], f"{area}{line}", f"({area}) {line[:3]}-{line[3:]}", f"{area}-{line[:3]}-{line[3:]}",
            f"{area}.{line[:3]}.{line[3:]}", f"+1 {area} {line[:3]} {line[3:]}", f" {area} {line} ",
        )  # fmt: skip
    weights = [8, 6, 10, 5, 4] + [1] * (len(spellings) - 5)
    return Phone(rng.choices(spellings, weights)[0], number)


def broken_phone(rng: Random, number: str) -> Phone:
    """Something in the mobile field that is no number."""
    wrong = ("0000000000", "no mobile", number[:-3], f"{number} / {number[:-4]}9999", "087", "x")
    return Phone(rng.choice(wrong), None)


def write_email(rng: Random, address: str) -> Email:
    """An address as typed: mostly clean, sometimes padded or in capitals."""
    spellings = (address, f" {address}", f"{address} ", address.title(), address.upper())
    return Email(rng.choices(spellings, [90, 3, 3, 2, 2])[0], address)


def broken_email(rng: Random, address: str) -> Email:
    """Something in the email field that is no address."""
    name = address.partition("@")[0]
    return Email(
        rng.choice((name, f"{name}@", f"{name}@example", f"{name} @example.com", "none", f"{name}@@example.com")), None
    )


def write_name(rng: Random) -> tuple[str, str]:
    """A first and a last name; one in twenty is not ASCII, a few are odd."""
    first, last = rng.choice(FIRST), rng.choice(LAST)
    draw = rng.random()
    if draw < 0.05:
        first, last = (rng.choice(FIRST_OTHER), last) if rng.random() < 0.5 else (first, rng.choice(LAST_OTHER))
    elif draw < 0.07:
        last = rng.choice(ODD_LAST)
    elif draw < 0.09:
        first = f" {first}" if rng.random() < 0.5 else f"{first}  Ann"
    return first, last

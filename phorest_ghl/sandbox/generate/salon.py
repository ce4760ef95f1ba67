"""The salon around its clients: branches, staff, services, products, categories, rooms.

Belongs here: rows that change rarely. Does not belong here: clients and appointments.
"""

from datetime import datetime, timedelta
from random import Random

from phorest_ghl.sandbox.clock import exact_instant
from phorest_ghl.sandbox.generate import people
from phorest_ghl.sandbox.generate.clients import country_of
from phorest_ghl.sandbox.ids import phorest_id
from phorest_ghl.sandbox.store import Row

_PLACES = (
    ("Dublin", "Europe/Dublin", "EUR", "Ireland", 53.35, -6.26),
    ("Toronto", "America/Toronto", "CAD", "Canada", 43.65, -79.38),
)
_SERVICE_GROUPS = {
    "Hair": (
        "Cut & Finish",
        "Blow Dry",
        "Full Head Colour",
        "Half Head Highlights",
        "Toner",
        "Fringe Trim",
        "Men's Cut",
        "Balayage",
    ),
    "Skin": ("Facial", "Peel", "LED Session", "Consultation", "Dermaplaning"),
    "Nails": ("Manicure", "Pedicure", "Gel Removal", "Infill"),
    "Body": ("Massage", "Wax", "Spray Tan"),
}
_MARKERS = ("No show", "Late cancellation fee", "Storno")
_PSEUDO_STAFF = ("Room", "Machine", "No show")


def make_branches(rng: Random, number: int) -> list[Row]:
    """Branches; the first is in Dublin, the second in Toronto, then in turn (facts/phorest-api §7.1)."""
    found: list[Row] = []
    for turn in range(number):
        city, zone, currency, country, latitude, longitude = _PLACES[turn % 2]
        name = f"Test Salon {city}" + (f" {turn + 1}" if turn > 1 else "")
        found.append({
            "branchId": phorest_id(rng), "name": name, "timeZone": zone, "latitude": latitude, "longitude": longitude,
            "streetAddress1": f"{turn + 1} Test Street", "streetAddress2": None, "city": city, "state": None,
            "postalCode": "D00 X000", "country": country, "currencyCode": currency, "accountId": 100_000 + turn,
        })  # fmt: skip
    return found


def make_categories(rng: Random) -> list[Row]:
    """Ten client categories, one archived. The id's name on the wire is a switch."""
    names = ("VIP", "Student", "Bridal", "Colour Club", "Model", "Senior", "Family", "Skin", "New", "Old list")
    return [
        {
            "clientCategoryId": phorest_id(rng),
            "name": name,
            "colour": f"#{rng.getrandbits(24):06x}",
            "archived": name == "Old list",
        }
        for name in names
    ]


def make_staff(rng: Random, branch: Row, number: int, addresses: people.Addresses) -> list[Row]:
    """`number` rows, three of them no people; a third has invalid or missing contact data (facts/phorest-api §12)."""
    found: list[Row] = []
    for turn in range(number):
        pseudo = number >= 8 and turn >= number - len(_PSEUDO_STAFF)
        first, last = (
            (_PSEUDO_STAFF[number - 1 - turn], "1")
            if pseudo
            else (people.FIRST[turn % len(people.FIRST)], rng.choice(people.LAST))
        )
        broken = turn % 3 == 2
        phone = addresses.mobile(country_of(branch))
        email = addresses.email(first, last)
        found.append({
            "staffId": phorest_id(rng), "branchId": branch["branchId"], "userId": None if pseudo else phorest_id(rng),
            "staffCategoryId": None,
            "staffCategoryName": None if pseudo else rng.choice(("Stylist", "Senior Stylist", "Therapist")),
            "firstName": first, "lastName": last, "birthDate": None, "startDate": "2020-01-06", "selfEmployed": False,
            "archived": number >= 8 and turn == number - 4,
            "mobile": None if pseudo or (broken and turn % 2) else ("0000" if broken else phone),
            "email": None if pseudo else (f"{first.lower()}@" if broken else email), "gender": None, "notes": None,
            "onlineProfile": None, "imageUrl": None, "hideFromOnlineBookings": pseudo,
            "hideFromAppointmentScreen": False, "disqualifiedServices": [],
        })  # fmt: skip
    return found


def share_staff(staff: list[Row], per_branch: int) -> None:
    """The first two of every branch work in all of them: one `userId`, another `staffId` each (facts/phorest-api §2.4)."""
    for place, row in enumerate(staff):
        if place >= per_branch and place % per_branch < 2:
            same = staff[place % per_branch]
            row |= {name: same[name] for name in ("userId", "firstName", "lastName", "mobile", "email")}


def make_services(rng: Random, number: int) -> tuple[list[Row], list[Row]]:
    """Service categories, and services that all branches share, some archived, some only markers (facts/phorest-api §7.8)."""
    categories: list[Row] = [
        {"categoryId": phorest_id(rng), "name": name, "internetServiceCategories": []} for name in _SERVICE_GROUPS
    ]
    menu = [(category, name) for category in categories for name in _SERVICE_GROUPS[category["name"]]]
    services: list[Row] = []
    for turn in range(number):
        category, base = menu[turn % len(menu)]
        name = (
            _MARKERS[turn - number + 3]
            if number > 10 and turn >= number - 3
            else base + (f" {turn // len(menu) + 1}" if turn >= len(menu) else "")
        )
        duration = rng.choice((15, 30, 45, 60, 90, 120))
        services.append({
            "serviceId": phorest_id(rng), "version": rng.randrange(9), "name": name,
            "archived": number > 20 and turn % 16 == 9, "categoryId": category["categoryId"],
            "categoryName": category["name"], "duration": duration, "gapTime": 30 if duration == 120 else 0,
            "price": rng.choice((0.0, 18.5, 25.0, 45.0, 62.5, 95.0, 140.0)), "internetEnabled": rng.random() < 0.7,
            "internetDescription": None, "disqualifiedStaff": [],
        })  # fmt: skip
    return categories, services


def make_products(rng: Random, number: int, now: datetime) -> list[Row]:
    """Products of one branch.

    Barcodes may be empty or doubled, stock fractional or negative (facts/phorest-api §8.1).
    """
    brands = [(phorest_id(rng), name) for name in ("Testa", "Muster", "Ejemplo", "Exemplum")]
    groups = [(phorest_id(rng), name) for name in ("Shampoo", "Colour", "Care", "Tools")]
    found: list[Row] = []
    for turn in range(number):
        brand, group = rng.choice(brands), rng.choice(groups)
        made = now - timedelta(days=rng.uniform(10, 2_000))
        touched = made + (now - made) * rng.random()
        found.append({
            "productId": phorest_id(rng), "parentProductId": None, "name": f"{brand[1]} {group[1]} {turn + 1}",
            "code": f"P{turn + 1:05d}",
            "barcode": "" if turn % 11 == 0 else f"{5390000000000 + turn // (2 if turn % 97 == 1 else 1)}",
            "brandId": brand[0], "brandName": brand[1], "categoryId": group[0], "categoryName": group[1],
            "type": rng.choice(("RETAIL", "PROFESSIONAL", "RETAIL, COLOUR, PROFESSIONAL")),
            "price": rng.choice((9.99, 14.5, 22.0, 35.0)), "reorderCost": 6.4, "reorderCount": 6.0,
            "minQuantity": 2.0, "maxQuantity": 12.0, "quantityInStock": rng.choice((0.0, 3.0, 7.5, -1.0)),
            "measurementQuantity": 250.0, "measurementUnit": "ml", "archived": turn % 40 == 7,
            "createdAt": exact_instant(made), "updatedAt": exact_instant(touched),
        })  # fmt: skip
    return found


def make_rooms(rng: Random) -> list[Row]:
    """Two treatment rooms."""
    return [{"id": phorest_id(rng), "name": f"Room {turn}", "archived": False} for turn in (1, 2)]

"""A salon for a test: a sandbox, a database, and settings that join them.

Belongs here: what several test folders need to run the product against a sandbox. Does not belong here: fixtures.
"""

import base64
from collections.abc import Mapping

from phorest_ghl.http.retry import RetryPolicy
from phorest_ghl.settings import Settings, load_settings

HASH_KEY = base64.urlsafe_b64encode(b"a hash key for tests, 32 bytes..").decode()
SECRET_KEY = base64.urlsafe_b64encode(b"a secret key for tests, 32 bytes").decode()
WINDOW_S = 0.5
"""GHL's window of 10 s shrunk, so that a test does not wait for it; the sandbox is started with the same."""

IMPATIENT = RetryPolicy(attempts=3, elapsed_s=5.0, window_s=WINDOW_S, first_s=0.05, longest_s=0.2)


def salon_settings(sandbox: Mapping[str, str], database_url: str, **more: str) -> Settings:
    """Settings that point at a sandbox (by what it prints) and at a database; nothing of the environment."""
    values = {
        **sandbox,
        "DATABASE_URL": database_url,
        "PHOREST_GHL_HASH_KEY": HASH_KEY,
        "PHOREST_GHL_SECRET_KEY": SECRET_KEY,
        "GHL_RATE_WINDOW_S": str(WINDOW_S),
        **more,
    }
    return load_settings(values, env_file=None)

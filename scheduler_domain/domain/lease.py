"""The lease: how one dispatcher, and only one, may deliver an occurrence.

Authority is the database: its clock starts and ends every lease, and each claim raises the row's `lease_token`. A
dispatcher trusts its lease for `LENGTH` less `MARGIN` on its own monotonic clock, and starts no attempt after that.
Whatever it writes later carries the token; a row that was claimed again meanwhile does not match and keeps its state.
So a dispatcher that was stopped, paused or cut off can at worst repeat a delivery under the same key, never
overwrite what its successor recorded.
"""

from datetime import timedelta

LENGTH = timedelta(seconds=15)
MARGIN = timedelta(seconds=2)
LOOKED_AT_EVERY = timedelta(seconds=1)
SHORTEST = MARGIN + 2 * LOOKED_AT_EVERY
"""A lease that is trusted for less may run out between two looks, and what waits under it would never start."""


def renewed_below(length: timedelta) -> timedelta:
    """Return how long a lease may still be trusted when it is time to renew it.

    A third of its length after it was claimed or renewed, and while a look that comes late still finds it.

    >>> renewed_below(LENGTH).total_seconds(), renewed_below(SHORTEST).total_seconds()
    (8.0, 2.0)
    """
    return max(length - MARGIN - length / 3, 2 * LOOKED_AT_EVERY)

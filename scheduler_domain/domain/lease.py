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

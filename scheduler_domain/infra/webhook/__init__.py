"""Webhooks: one HTTP request an attempt, to an address that was judged, with every wait and every size bounded."""

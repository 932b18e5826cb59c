"""Who is asking: bearer tokens verified against a shared secret or an identity provider's key set."""

"""Occurrences over HTTP."""

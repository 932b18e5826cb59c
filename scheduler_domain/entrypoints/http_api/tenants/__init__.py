"""Tenants, for the operators of the platform: one folder a resource."""

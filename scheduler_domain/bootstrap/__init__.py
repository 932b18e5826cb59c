"""Composition root: the one place that knows which technology stands behind each port.

Entrypoints ask here for a working part and never import infra themselves. One module per process or tool, so that
each imports only what it runs on.
"""

"""`scheduler dev --demo`: sample schedules, and what their targets receive.

samples.py   the schedules          listeners.py   the targets: JetStream consumers and an HTTP receiver
delivery.py  one delivery as seen   view.py        a live table, plain lines, or NDJSON      show.py   all of it
"""

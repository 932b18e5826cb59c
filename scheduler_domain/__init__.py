"""Schedules fired at the right local instant, delivered once in effect, provable afterwards. The flow, by file:

accept       application/accept_schedule.py           a tenant's rule is checked, proven to fire, and stored
materialise  application/materialise_occurrences.py   rules become the occurrences of the next minute
claim        application/claim_occurrences.py         what is due soon is leased to one dispatcher and encoded
deliver      application/deliver_occurrence.py        fired at its instant: infra/nats, infra/webhook
record       application/record_outcomes.py           what has ended moves from the due queue to the ledger
rescue       application/rescue_occurrences.py        leases are renewed, what was withdrawn is let go of
compute      domain/planning.py                       from a rule to its instants, pure: domain/triggers
compose      bootstrap                                which technology stands behind each of application/ports
"""

__version__ = "0.1.0"

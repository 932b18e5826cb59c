"""Chaos: the product's real processes under load while everything they stand on fails, and a judge of what came of it.

history.py      what was asked for, what arrived, what was recorded: plain values
expectation.py  what had to fire, and what was allowed to, computed from the requests and their answers alone
evidence.py     one schedule: what was asked of it beside what came of it
checker.py      compares the two by firing_checks.py, recovery_checks.py, completion_checks.py, overlap_checks.py
                and template_checks.py; every kind of defect is planted in the tests of these and has to be found
plan.py         which fault when: a function of the seed
faults.py       how each fault is made and mended        proxy.py   a network that delays, swallows and resets
stage.py        servers, API and dispatchers             requests.py   repeated until they are answered
workload.py     schedules that come, change and go       definitions.py   rules and targets at random
instances.py    … that come from templates               recoveries.py   runs by hand, backfills, replays
callbacks.py    what a receiver says later
receiver.py     the webhook endpoint                     stream_reader.py   what JetStream holds
run.py          one run from start to verdict            report.py   the table
"""

"""Chaos: the product's real processes under load while everything they stand on fails, and a judge of what came of it.

history.py      what was asked for, what arrived, what was recorded: plain values
expectation.py  what had to fire, and what was allowed to, computed from the requests and their answers alone
checker.py      compares the two; every kind of defect is planted in test_checker.py and has to be found
plan.py         which fault when: a function of the seed
faults.py       how each fault is made and mended        proxy.py   a network that delays, swallows and resets
stage.py        servers, API and dispatchers             workload.py   schedules that come, change and go
receiver.py     the webhook endpoint                     stream_reader.py   what JetStream holds
run.py          one run from start to verdict            report.py   the table
"""

"""The application under a virtual clock: thousands of interleavings in seconds, each replayable by its seed.

Real: everything in `application`, the loops of a dispatcher, and the dispatchers' clock. In memory: what stands behind
the ports (`memory`, held to PostgreSQL by tests/contract) and the targets. A seed decides the schedules, what is done
to them, how long each call takes, which of several ready callbacks runs next, and what fails. `witness` and
`expectation` judge.

    python -m tests.simulation --seeds 5000
    python -m tests.simulation --seed 42 --trace
"""

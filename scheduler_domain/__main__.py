"""`python -m scheduler_domain` is the console script `scheduler`, for where that script is not on PATH."""

from scheduler_domain.entrypoints.cli import main

main(prog_name="scheduler")

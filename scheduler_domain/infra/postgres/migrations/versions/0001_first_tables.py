"""First tables: schedule, its cursor, the due queue, the ledger and what dispatchers coordinate by.

Row-level security is on from the first table on. Three roles share the work, none a superuser, none an owner but the
owner: `scheduler_owner` holds the objects and nobody logs in as it, `scheduler_app` is what the API may do within one
tenant, `scheduler_dispatch` is what a dispatcher may do for all of them.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Tenants are compared byte by byte everywhere: as fast as it gets, and the same order on every server, whatever its
# locale. Statements that lock rows in (tenant, schedule) order rely on it.
SCHEDULE = """
CREATE TABLE schedule (
  tenant_id    text COLLATE "C" NOT NULL,
  id           uuid NOT NULL,
  key          text,
  name         text NOT NULL,
  labels       jsonb NOT NULL DEFAULT '{}',
  trigger_type text NOT NULL,
  target_kind  text NOT NULL,
  definition   json NOT NULL,
  state        text NOT NULL DEFAULT 'ACTIVE' CHECK (state IN ('ACTIVE', 'PAUSED', 'COMPLETED', 'DISABLED')),
  state_reason text,
  resume_at    timestamptz,
  revision     integer NOT NULL DEFAULT 1,
  version      integer NOT NULL DEFAULT 1,
  created_at   timestamptz NOT NULL,
  updated_at   timestamptz NOT NULL,
  created_by   text NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, key),
  CHECK (resume_at IS NULL OR state = 'PAUSED')
)
"""

# Narrow and apart from the definition: each planning rewrites it, because next_fire_at is indexed (never HOT).
SCHEDULE_CURSOR = """
CREATE TABLE schedule_cursor (
  tenant_id       text COLLATE "C" NOT NULL,
  schedule_id     uuid NOT NULL,
  revision        integer NOT NULL,
  rule            json NOT NULL,
  created_at      timestamptz NOT NULL,
  next_fire_at    timestamptz,
  checkpoint      text,
  run_count       bigint NOT NULL DEFAULT 0,
  caught_up_count integer NOT NULL DEFAULT 0,
  tzdata          text,
  shard           smallint NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, schedule_id),
  FOREIGN KEY (tenant_id, schedule_id) REFERENCES schedule (tenant_id, id) ON DELETE CASCADE
)
"""

# Only what is not finished. A lease changes no indexed column and no index predicate names one, so claims are HOT;
# fillfactor leaves room for one lease of every row on its page (measured: at 70 only 45 % of a herd were HOT, and a
# claim cost a quarter more); pruning reclaims it without waiting for vacuum.
DUE_QUEUE = """
CREATE TABLE due_queue (
  tenant_id      text COLLATE "C" NOT NULL,
  schedule_id    uuid NOT NULL,
  id             uuid NOT NULL,
  kind           text NOT NULL DEFAULT 'SCHEDULED',
  revision       integer NOT NULL,
  scheduled_for  timestamptz NOT NULL,
  due_at         timestamptz NOT NULL,
  start_tag      timestamptz NOT NULL,
  lease_until    timestamptz NOT NULL DEFAULT '-infinity',
  lease_token    integer NOT NULL DEFAULT 0,
  leased_by      integer,
  attempt_count  smallint NOT NULL DEFAULT 0,
  first_fired_at timestamptz,
  is_last        boolean NOT NULL DEFAULT false,
  shard          smallint NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, schedule_id, id),
  CHECK (due_at >= scheduled_for),
  CHECK (kind IN ('SCHEDULED', 'MANUAL', 'BACKFILL'))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_cost_delay = 0)
"""

# Partitioned by the id's own time part: the primary key stays (tenant_id, id), so no instant can end twice.
LEDGER = """
CREATE TABLE ledger (
  tenant_id        text COLLATE "C" NOT NULL,
  id               uuid NOT NULL,
  schedule_id      uuid NOT NULL,
  kind             text NOT NULL,
  revision         integer NOT NULL,
  scheduled_for    timestamptz NOT NULL,
  due_at           timestamptz NOT NULL,
  status           text NOT NULL CHECK (status IN ('COMPLETED', 'FAILED', 'SKIPPED', 'CANCELLED')),
  reason           text,
  attempt_count    smallint NOT NULL,
  fired_at         timestamptz,
  ended_at         timestamptz NOT NULL,
  duration_ms      integer,
  lateness_ms      integer,
  status_code      smallint,
  error            text,
  response_excerpt text,
  PRIMARY KEY (tenant_id, id),
  CHECK (status IN ('COMPLETED', 'FAILED') OR reason IS NOT NULL),
  CHECK (status <> 'COMPLETED' OR fired_at IS NOT NULL)
) PARTITION BY RANGE (id)
"""

# Attempts that did not end their occurrence; the one that did is in the ledger row itself.
ATTEMPT = """
CREATE TABLE attempt (
  tenant_id        text COLLATE "C" NOT NULL,
  occurrence_id    uuid NOT NULL,
  number           smallint NOT NULL,
  started_at       timestamptz NOT NULL,
  duration_ms      integer NOT NULL,
  outcome          text NOT NULL,
  status_code      smallint,
  error            text,
  response_excerpt text,
  PRIMARY KEY (tenant_id, occurrence_id, number)
) PARTITION BY RANGE (occurrence_id)
"""

# A running dispatcher, and which of the recent revocations it has obeyed. A list, not a high-water mark: sequences
# are drawn before they commit, so a lower one can become visible after a higher one was obeyed.
DISPATCHER = """
CREATE TABLE dispatcher (
  id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name         text NOT NULL,
  started_at   timestamptz NOT NULL DEFAULT now(),
  heartbeat_at timestamptz NOT NULL DEFAULT now(),
  obeyed       bigint[] NOT NULL DEFAULT '{}'
)
"""

# Schedules whose held occurrences dispatchers must let go of (delete, pause, edit).
REVOCATION = """
CREATE TABLE revocation (
  sequence    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id   text COLLATE "C" NOT NULL,
  schedule_id uuid NOT NULL,
  made_at     timestamptz NOT NULL DEFAULT now()
)
"""

IDEMPOTENT_REQUEST = """
CREATE TABLE idempotent_request (
  tenant_id   text COLLATE "C" NOT NULL,
  key         text NOT NULL,
  fingerprint bytea NOT NULL,
  status      smallint,
  headers     json,
  body        text,
  created_at  timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, key)
)
"""

INDEXES = (
    "CREATE INDEX schedule_cursor_next_fire_at ON schedule_cursor (next_fire_at) WHERE next_fire_at IS NOT NULL",
    "CREATE INDEX schedule_resume_at ON schedule (resume_at) WHERE resume_at IS NOT NULL",
    "CREATE INDEX due_queue_start_tag ON due_queue (start_tag)",
    # Narrow, and without the tenant, which the schedule implies: its keys come in no order, so each is a page of its
    # own to read, change and log (measured: 2 of 13 µs for a row recorded).
    "CREATE INDEX ledger_of_schedule ON ledger (schedule_id, scheduled_for)",
    # Without the id: a herd shares one instant, and equal keys are stored once.
    "CREATE INDEX ledger_by_instant ON ledger (tenant_id, scheduled_for)",
    "CREATE INDEX ledger_dead_letters ON ledger (tenant_id, scheduled_for) WHERE status = 'FAILED'",
    "CREATE INDEX idempotent_request_created_at ON idempotent_request (created_at)",
)

CURRENT_TENANT = """
CREATE FUNCTION current_tenant() RETURNS text LANGUAGE sql STABLE
AS $$ SELECT nullif(current_setting('app.tenant_id', true), '') $$
"""

FIRST_ID_AT = """
CREATE FUNCTION first_id_at(instant timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE
AS $$ SELECT (lpad(to_hex((extract(epoch FROM instant) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid $$
"""

# Stable and not immutable, as its body is to PostgreSQL: else it would be called and not be written into the statement.
INSTANT_OF = """
CREATE FUNCTION instant_of(microseconds bigint) RETURNS timestamptz LANGUAGE sql STABLE
AS $$ SELECT timestamptz 'epoch' + microseconds * interval '1 microsecond' $$
"""

# SECURITY DEFINER because a dispatcher creates months ahead and drops old ones, and may own nothing.
MAINTAIN_PARTITIONS = """
CREATE FUNCTION maintain_partitions(today timestamptz, months_ahead integer, keep_from timestamptz)
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = scheduler, pg_temp AS $$
DECLARE
  parent text; month timestamptz; partition text; changed integer := 0; bound timestamptz;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('scheduler.maintain_partitions'));
  FOREACH parent IN ARRAY ARRAY['ledger', 'attempt'] LOOP
    FOR month IN SELECT generate_series(date_trunc('month', today, 'UTC') - interval '1 month',
                                        date_trunc('month', today, 'UTC') + make_interval(months => months_ahead),
                                        interval '1 month') LOOP
      partition := parent || to_char(month AT TIME ZONE 'UTC', '_YYYY_MM');
      CONTINUE WHEN to_regclass('scheduler.' || partition) IS NOT NULL;
      BEGIN
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', partition, parent,
                       first_id_at(month),
                       first_id_at((month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'));
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', partition);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', partition);
        changed := changed + 1;
      EXCEPTION WHEN check_violation THEN
        RAISE NOTICE 'rows of % are in the default partition and stay there', partition;
      END;
    END LOOP;
    FOR partition, bound IN
      SELECT c.relname, to_timestamp(right(c.relname, 7), 'YYYY_MM') + interval '1 month 2 days'
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = parent::regclass AND c.relname ~ '_[0-9]{4}_[0-9]{2}$' LOOP
      IF bound < keep_from THEN
        EXECUTE format('DROP TABLE %I', partition);
        changed := changed + 1;
      END IF;
    END LOOP;
  END LOOP;
  RETURN changed;
END $$
"""

TENANT_TABLES = ("schedule", "schedule_cursor", "due_queue", "ledger", "attempt", "revocation", "idempotent_request")

GRANTS = (
    "GRANT USAGE ON SCHEMA scheduler TO scheduler_app, scheduler_dispatch",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON schedule, schedule_cursor, due_queue, idempotent_request TO scheduler_app",
    "GRANT SELECT, INSERT, DELETE ON ledger, attempt TO scheduler_app",
    "GRANT SELECT, INSERT ON revocation TO scheduler_app",
    "GRANT SELECT (id, heartbeat_at, obeyed) ON dispatcher TO scheduler_app",
    "GRANT SELECT ON schedule, schedule_cursor TO scheduler_dispatch",
    "GRANT UPDATE (state, state_reason, resume_at, version, updated_at) ON schedule TO scheduler_dispatch",
    (
        "GRANT UPDATE (next_fire_at, checkpoint, run_count, caught_up_count, tzdata) ON schedule_cursor"
        " TO scheduler_dispatch"
    ),
    "GRANT SELECT, INSERT, UPDATE, DELETE ON due_queue TO scheduler_dispatch",
    "GRANT SELECT, INSERT ON ledger, attempt TO scheduler_dispatch",
    "GRANT SELECT, DELETE ON revocation TO scheduler_dispatch",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON dispatcher TO scheduler_dispatch",
    "GRANT SELECT, DELETE ON idempotent_request TO scheduler_dispatch",
    "REVOKE ALL ON FUNCTION maintain_partitions FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION maintain_partitions TO scheduler_dispatch",
    "GRANT SELECT ON alembic_version TO scheduler_app, scheduler_dispatch",
)


def upgrade() -> None:
    for statement in (CURRENT_TENANT, FIRST_ID_AT, INSTANT_OF):
        op.execute(statement)
    for table in (SCHEDULE, SCHEDULE_CURSOR, DUE_QUEUE, LEDGER, ATTEMPT, DISPATCHER, REVOCATION, IDEMPOTENT_REQUEST):
        op.execute(table)
    for index in INDEXES:
        op.execute(index)
    for parent in ("ledger", "attempt"):
        op.execute(f"CREATE TABLE {parent}_stray PARTITION OF {parent} DEFAULT")
    for table in (*TENANT_TABLES, "ledger_stray", "attempt_stray"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    for table in TENANT_TABLES:
        op.execute(
            f"CREATE POLICY of_tenant ON {table} TO scheduler_app"
            " USING (tenant_id = (SELECT current_tenant())) WITH CHECK (tenant_id = (SELECT current_tenant()))"
        )
        op.execute(f"CREATE POLICY of_all ON {table} TO scheduler_dispatch USING (true) WITH CHECK (true)")
    op.execute(MAINTAIN_PARTITIONS)
    for grant in GRANTS:
        op.execute(grant)
    op.execute("SELECT maintain_partitions(now(), 3, '-infinity')")


def downgrade() -> None:
    op.execute("DROP FUNCTION maintain_partitions")
    for table in (
        "idempotent_request",
        "revocation",
        "dispatcher",
        "attempt",
        "ledger",
        "due_queue",
        "schedule_cursor",
        "schedule",
    ):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION instant_of")
    op.execute("DROP FUNCTION first_id_at")
    op.execute("DROP FUNCTION current_tenant")

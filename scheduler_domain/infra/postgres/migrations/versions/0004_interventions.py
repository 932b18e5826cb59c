"""What operators' interventions need: backfill, replay, cancel, audit, and a ledger that forgets by age.

An occurrence that a person asked for remembers when (`requested_at`), since retries are counted from there and a pause
that is older does not hold it back; and how often it was tried before (`earlier_attempt_count`), since a replay has all
its retries before it again. The ledger keeps the lease token of what did not complete, so that a row which returns to
the queue starts above every token that was ever given out for it. A revocation may name one occurrence.

`in_force_since` is the instant from which a schedule's rule, as it stands, decides: from there on an audit can tell
what should have fired. NULL is the schedule's creation.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# A month that lies wholly before what is kept is not made again, and dropping one waits for nobody: it needs a lock
# that every record would queue behind, so a drop that does not get it at once is left to the next sweep.
MAINTAIN_PARTITIONS = """
CREATE OR REPLACE FUNCTION maintain_partitions(today timestamptz, months_ahead integer, keep_from timestamptz)
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = scheduler, pg_temp SET timezone = 'UTC'
SET lock_timeout = '200ms' AS $$
DECLARE
  parent text; month timestamptz; partition text; changed integer := 0; bound timestamptz;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('scheduler.maintain_partitions')) THEN
    RETURN 0;
  END IF;
  FOREACH parent IN ARRAY ARRAY['ledger', 'attempt'] LOOP
    FOR month IN SELECT generate_series(date_trunc('month', today) - interval '1 month',
                                        date_trunc('month', today) + make_interval(months => months_ahead),
                                        interval '1 month') LOOP
      partition := parent || to_char(month, '_YYYY_MM');
      CONTINUE WHEN to_regclass('scheduler.' || partition) IS NOT NULL;
      CONTINUE WHEN month + interval '1 month 2 days' < keep_from;
      BEGIN
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', partition, parent,
                       first_id_at(month), first_id_at(month + interval '1 month'));
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', partition);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', partition);
        changed := changed + 1;
      EXCEPTION
        WHEN check_violation THEN
          RAISE NOTICE 'rows of % are in the default partition and stay there', partition;
        WHEN lock_not_available THEN
          RAISE NOTICE '% is made at the next sweep', partition;
      END;
    END LOOP;
    FOR partition, bound IN
      SELECT c.relname, to_timestamp(right(c.relname, 7), 'YYYY_MM') + interval '1 month 2 days'
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = parent::regclass AND c.relname ~ '_[0-9]{4}_[0-9]{2}$' LOOP
      CONTINUE WHEN bound >= keep_from;
      BEGIN
        EXECUTE format('DROP TABLE %I', partition);
        changed := changed + 1;
      EXCEPTION WHEN lock_not_available THEN
        RAISE NOTICE '% is dropped at the next sweep', partition;
      END;
    END LOOP;
  END LOOP;
  RETURN changed;
END $$
"""

# What lies outside every month (a backfill of years ago) goes by when it ended. SECURITY DEFINER because a dispatcher
# may delete nothing from the ledger; row-level security binds the owner too, so the policy below lets it through.
PRUNE_STRAYS = """
CREATE FUNCTION prune_strays(keep_from timestamptz, most integer)
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = scheduler, pg_temp AS $$
DECLARE
  pruned integer;
BEGIN
  WITH chosen AS (
    SELECT tenant_id, id FROM ledger_stray WHERE ended_at < keep_from LIMIT most
  ), attempts AS (
    DELETE FROM attempt USING chosen WHERE attempt.tenant_id = chosen.tenant_id AND attempt.occurrence_id = chosen.id
  )
  DELETE FROM ledger_stray AS l USING chosen WHERE l.tenant_id = chosen.tenant_id AND l.id = chosen.id;
  GET DIAGNOSTICS pruned = ROW_COUNT;
  RETURN pruned;
END $$
"""

# The months of the ledger that are kept begin here; what was due before them cannot be accounted for any more.
LEDGER_BEGINS_AT = """
CREATE FUNCTION ledger_begins_at() RETURNS timestamptz LANGUAGE sql STABLE SET search_path = scheduler, pg_temp
SET timezone = 'UTC' AS $$
  SELECT min(to_timestamp(right(c.relname, 7), 'YYYY_MM')) + interval '1 day'
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
  WHERE i.inhparent = 'ledger'::regclass AND c.relname ~ '_[0-9]{4}_[0-9]{2}$'
$$
"""

UP = (
    "ALTER TABLE due_queue ADD COLUMN requested_at timestamptz",
    "ALTER TABLE due_queue ADD COLUMN earlier_attempt_count smallint NOT NULL DEFAULT 0",
    "ALTER TABLE ledger ADD COLUMN lease_token integer",
    "ALTER TABLE revocation ADD COLUMN occurrence_id uuid",
    "ALTER TABLE schedule_cursor ADD COLUMN in_force_since timestamptz",
    "GRANT UPDATE (in_force_since) ON schedule_cursor TO scheduler_dispatch",
    MAINTAIN_PARTITIONS,
    "CREATE POLICY of_owner ON ledger_stray TO scheduler_owner USING (true)",
    "CREATE POLICY of_owner ON attempt TO scheduler_owner USING (true)",
    PRUNE_STRAYS,
    "REVOKE ALL ON FUNCTION prune_strays FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION prune_strays TO scheduler_dispatch",
    LEDGER_BEGINS_AT,
)

# maintain_partitions stays as it is: it does for the older schema what the older one did.
DOWN = (
    "DROP FUNCTION ledger_begins_at",
    "DROP FUNCTION prune_strays",
    "DROP POLICY of_owner ON attempt",
    "DROP POLICY of_owner ON ledger_stray",
    "ALTER TABLE schedule_cursor DROP COLUMN in_force_since",
    "ALTER TABLE revocation DROP COLUMN occurrence_id",
    "ALTER TABLE ledger DROP COLUMN lease_token",
    "ALTER TABLE due_queue DROP COLUMN earlier_attempt_count",
    "ALTER TABLE due_queue DROP COLUMN requested_at",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)

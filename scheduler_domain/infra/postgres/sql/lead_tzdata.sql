-- lead_tzdata: say that a dispatcher with this edition ($1) is alive; answers with the edition that leads.
-- The newest one leads for as long as somebody with it has been heard of within $2. Once nobody has, an older one takes
-- over: that is an operator who went back. The row is written at most once in a quarter of that time.
WITH led AS (
  INSERT INTO tzdata_version_seen AS s (version) VALUES ($1::text)
  ON CONFLICT (singleton) DO UPDATE
  SET version = excluded.version, seen_at = now(),
      since = CASE WHEN s.version = excluded.version THEN s.since ELSE now() END
  WHERE s.version < excluded.version COLLATE "C"
     OR s.version = excluded.version AND s.seen_at < now() - $2::interval / 4
     OR s.seen_at < now() - $2::interval
  RETURNING s.version
)
SELECT coalesce((SELECT version FROM led), (SELECT version FROM tzdata_version_seen), $1::text)

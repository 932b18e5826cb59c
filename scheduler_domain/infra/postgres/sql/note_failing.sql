-- note_failing: remember since when the dead letters of these schedules follow each other, and return the schedules whose
-- occurrences have failed for longer than $4, without one that was completed. The caller holds the schedules.
-- A success is not written down when it happens, for most have no failure to end: it is looked for when the time is up,
-- so once in $4 for a schedule, the newest first, for mostly there is one lately. What was completed after the first dead
-- letter was due at most the schedule's longest age of retries before it: a day where its definition does not say.
-- An edit, a pause or a resume begins anew: failing_since counts only if it is later. An edit that was not seen by this
-- claim (another revision) may have mended just that.
WITH failed AS (
  SELECT DISTINCT s.tenant_id, s.id, s.revision, s.failing_since,
         make_interval(secs => coalesce((s.definition -> 'retry' ->> 'maxAgeSec')::integer, 86400)) AS longest_age,
         coalesce(s.failing_since > s.updated_at, false) AS is_failing
  FROM unnest($1::text[], $2::uuid[], $3::integer[]) AS o (tenant_id, schedule_id, revision)
  JOIN schedule AS s ON s.tenant_id = o.tenant_id AND s.id = o.schedule_id AND s.revision = o.revision
), judged AS (
  SELECT f.*, f.is_failing AND (f.failing_since > now() - $4::interval OR (
           SELECT 1 FROM ledger AS l
           WHERE l.schedule_id = f.id AND l.tenant_id = f.tenant_id
             AND l.scheduled_for > f.failing_since - f.longest_age
             AND l.status = 'COMPLETED' AND l.ended_at > f.failing_since
           ORDER BY l.scheduled_for DESC
           LIMIT 1) IS NULL) AS goes_on
  FROM failed AS f
), begun AS (
  UPDATE schedule AS s
  SET failing_since = now()
  FROM judged AS j
  WHERE s.tenant_id = j.tenant_id AND s.id = j.id AND NOT j.goes_on
)
SELECT tenant_id, id, revision FROM judged WHERE goes_on AND failing_since <= now() - $4::interval

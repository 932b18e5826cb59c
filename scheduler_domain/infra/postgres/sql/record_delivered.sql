-- record_delivered: move occurrences that their first attempt completed from the queue to the ledger.
-- The fast form of record_ended for what most occurrences are. A row is looked up by its place ($1), which a claim
-- told; one that was written since (a lease renewed) is elsewhere, does not match, and is left to record_ended. So is
-- a batch in which an id has ended before: without ON CONFLICT the insert is a quarter cheaper, and fails as a whole.
-- In the order of ids (lock_order.py).
-- What is the same for all that were sent together comes once: $4 says which of $5, $6 and $7 is a row's own. Of what a
-- broker acknowledged there are no status codes ($8) and excerpts ($9): the arrays are then empty.
WITH ended AS (
  DELETE FROM due_queue AS q
  USING (SELECT * FROM unnest($1::text::tid[], $2::text::uuid[], $3::text::integer[], $4::text::smallint[],
                              $8::text::smallint[], $9::text[])
           AS u (place, id, lease_token, sent, status_code, response_excerpt)
         ORDER BY id) AS o
  WHERE q.ctid = o.place AND q.id = o.id AND q.lease_token = o.lease_token
  RETURNING q.tenant_id, q.schedule_id, q.id, q.kind, q.revision, q.scheduled_for, q.due_at,
            ($5::timestamptz[])[o.sent] AS fired_at, ($6::timestamptz[])[o.sent] AS ended_at,
            ($7::integer[])[o.sent] AS duration_ms, o.status_code, o.response_excerpt
), written AS (
  INSERT INTO ledger (tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, status, attempt_count,
                      fired_at, ended_at, duration_ms, lateness_ms, status_code, response_excerpt)
  SELECT tenant_id, id, schedule_id, kind, revision, scheduled_for, due_at, 'COMPLETED', 1, fired_at, ended_at,
         duration_ms, least(date_part('epoch', fired_at - due_at) * 1000, 2147483647)::integer,
         status_code, response_excerpt
  FROM ended
)
-- Nothing to tell where all were found, as nearly always.
SELECT count(*) AS count, CASE WHEN count(*) < cardinality($1::text::tid[]) THEN array_agg(id) END AS ids FROM ended

-- claim_occurrences: lease what is due soon to one dispatcher, fairest first, with its schedule as it stands now.
-- $1 most rows, $2 how far ahead, $3 lease length, $4 dispatcher, $5 where to start in tag order, in epoch seconds as the
-- instants and tags that are answered (application/ports/due_queue.py). In no order: to sort whole rows here cost 0.6 µs
-- each, to sort what was made of them costs 0.1.
-- SKIP LOCKED because a rival dispatcher must pass by, not wait. Locks due_queue rows, nothing else.
-- The lease is timed by this database's clock; raising lease_token fences whoever held the row before.
-- ctid is safe within one statement: the inner SELECT keeps each row locked until the UPDATE has changed it.
-- LATERAL … LIMIT 1 keeps the schedule one primary-key lookup a row, whatever the statistics of a queue claim.
-- A lease that ran out, and was not given back, may have been used: may_have_started remembers it.
-- What a person asked for after a pause goes out during it: the schedule counts as active for that row.
-- There is one shard, 0, as yet (docs/decisions/0020).
-- $5 spares a second look at rows that were leased a moment ago; a scan from -infinity finds leases that ran out.
WITH claimed AS (
  UPDATE due_queue
  SET lease_until = now() + $3::interval, lease_token = lease_token + 1, leased_by = $4::integer,
      may_have_started = may_have_started OR lease_until > '-infinity'
  WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM due_queue
    WHERE shard = 0 AND start_tag >= to_timestamp($5::float8) AND start_tag <= now() + $2::interval AND lease_until < now()
    ORDER BY start_tag
    LIMIT $1::integer
    FOR UPDATE SKIP LOCKED))
  RETURNING tenant_id, schedule_id, id, kind, revision, scheduled_for, due_at, start_tag, lease_token,
            attempt_count, first_fired_at IS NOT NULL AS was_tried, is_last, ctid::text AS place, requested_at,
            earlier_attempt_count, may_have_started,
            awaiting_since IS NOT NULL OR called_back_at IS NOT NULL AS is_accepted
)
SELECT claimed.tenant_id, claimed.schedule_id, claimed.id, claimed.kind, claimed.revision,
       date_part('epoch', claimed.scheduled_for), date_part('epoch', claimed.due_at), date_part('epoch', claimed.start_tag), claimed.lease_token,
       claimed.attempt_count, claimed.was_tried, claimed.is_last, claimed.place, schedule.revision AS schedule_revision,
       schedule.state AS schedule_state, schedule.definition, claimed.requested_at, claimed.earlier_attempt_count,
       claimed.may_have_started, claimed.is_accepted
FROM claimed
LEFT JOIN LATERAL (
  SELECT s.revision, s.definition,
         CASE WHEN s.state = 'PAUSED' AND claimed.requested_at > s.paused_at THEN 'ACTIVE' ELSE s.state END AS state
  FROM schedule AS s
  WHERE s.tenant_id = claimed.tenant_id AND s.id = claimed.schedule_id
  LIMIT 1) AS schedule ON true

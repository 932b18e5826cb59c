-- carry_over_occurrences: what is queued and was not tried goes by the new revision ($3), at the instant it had.
-- A lease is taken back and its token raised: a dispatcher that holds the row knows the schedule as it was. What is held
-- and due by $4 (now) may be under way, so it stays with its holder; but by the new revision too, since a holder that
-- never starts it leaves it to the next claim, which must not take it for something that an edit left behind.
UPDATE due_queue
SET revision = $3::integer,
    lease_until = CASE WHEN lease_until > $4::timestamptz AND due_at <= $4::timestamptz THEN lease_until
                       ELSE '-infinity' END,
    leased_by = CASE WHEN lease_until > $4::timestamptz AND due_at <= $4::timestamptz THEN leased_by END,
    lease_token = lease_token + CASE WHEN lease_until > $4::timestamptz AND due_at <= $4::timestamptz THEN 0 ELSE 1 END
WHERE tenant_id = $1::text AND schedule_id = $2::uuid AND first_fired_at IS NULL

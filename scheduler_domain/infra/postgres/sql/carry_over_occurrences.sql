-- carry_over_occurrences: what is queued and was not tried goes by the new revision ($4), at the instant it had.
-- A lease is taken back and its token raised: a dispatcher that holds the row knows the schedule as it was. What is held
-- and due by $5 (now) may be under way, so it stays with its holder; but by the new revision too, since a holder that
-- never starts it leaves it to the next claim, which must not take it for something that an edit left behind.
-- Such remains are what the edit itself withdraws from its holders ($6), and rows of a revision before the last ($3):
-- they keep the revision by which a claim knows them.
UPDATE due_queue
SET revision = $4::integer,
    lease_until = CASE WHEN lease_until > $5::timestamptz AND due_at <= $5::timestamptz THEN lease_until
                       ELSE '-infinity' END,
    may_have_started = may_have_started OR lease_until > '-infinity' AND due_at <= $5::timestamptz,
    leased_by = CASE WHEN lease_until > $5::timestamptz AND due_at <= $5::timestamptz THEN leased_by END,
    lease_token = lease_token + CASE WHEN lease_until > $5::timestamptz AND due_at <= $5::timestamptz THEN 0 ELSE 1 END
WHERE tenant_id = $1::text AND schedule_id = $2::uuid AND revision = $3::integer AND first_fired_at IS NULL
  AND NOT id = ANY ($6::uuid[])

-- note_callback: keep what a receiver called back, and have a dispatcher record it at once, as it does every outcome.
-- The caller holds the row (hold_expectation). One that waits for its callback is taken from whoever has claimed it for
-- the moment when none has come. One whose attempt is still under way stays with its dispatcher, which hears of it when
-- it records the attempt; first_fired_at marks it as tried, so that after a crash it is not sent as new.
UPDATE due_queue
SET called_back_at = clock_timestamp(), callback_succeeded = $4::boolean, callback_message = $5::text,
    first_fired_at = coalesce(first_fired_at, clock_timestamp()),
    start_tag = CASE WHEN awaiting_since IS NULL THEN start_tag ELSE now() END,
    lease_until = CASE WHEN awaiting_since IS NULL THEN lease_until ELSE '-infinity' END,
    leased_by = CASE WHEN awaiting_since IS NULL THEN leased_by END,
    lease_token = lease_token + CASE WHEN awaiting_since IS NULL THEN 0 ELSE 1 END
WHERE tenant_id = $1::text AND schedule_id = $2::uuid AND id = $3::uuid
RETURNING pg_notify('scheduler_due', '')

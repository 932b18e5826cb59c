-- note_moves: keep what the edition $1 moved, for whoever asks later; the first instant it had is the one it had.
INSERT INTO tzdata_move AS m (tenant_id, schedule_id, version, occurrence_id, was_at, is_at)
SELECT o.tenant_id, o.schedule_id, $1::text, o.occurrence_id, o.was_at, o.is_at
FROM unnest($2::text[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::timestamptz[])
  AS o (tenant_id, schedule_id, occurrence_id, was_at, is_at)
ON CONFLICT (tenant_id, schedule_id, version, occurrence_id) DO UPDATE SET is_at = excluded.is_at, moved_at = now()
WHERE m.was_at IS NOT NULL OR excluded.is_at IS NOT NULL

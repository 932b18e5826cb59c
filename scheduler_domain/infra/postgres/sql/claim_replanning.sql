-- claim_replanning: of the templates whose instances are behind, take the one that has waited longest, for $1.
-- A lease and no lock: a batch may take seconds, and neither a new version nor a deletion is to wait for it. Two at the
-- same batch are harmless, since each instance is changed under its own lock and only once from what it was.
UPDATE template
SET replan_until = now() + $1::interval
WHERE ctid = (
  SELECT ctid FROM template
  WHERE replan_after IS NOT NULL AND replan_until < now()
  ORDER BY replan_until, updated_at
  LIMIT 1
  FOR UPDATE SKIP LOCKED)
RETURNING tenant_id, name, replan_after

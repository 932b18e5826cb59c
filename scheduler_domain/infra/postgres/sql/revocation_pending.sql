-- revocation_pending: a revocation of one of these schedules ($2) that a holder may still act against; no row where there is none.
-- It may for as long as it has not obeyed and a lease lasts that it could rely on: one of before the change, or one that
-- it renewed since. A dispatcher without a row has left in order, and took its leases back.
-- Dispatchers say for a minute what they obeyed, and longer where a lease does; so no older revocation is asked about.
WITH tenant AS MATERIALIZED (SELECT set_config('app.tenant_id', $1, true) AS id)
SELECT pending.*
FROM tenant
CROSS JOIN LATERAL (
  SELECT r.sequence
  FROM revocation AS r
  JOIN dispatcher AS d ON d.id = ANY (r.holders) AND NOT r.sequence = ANY (d.obeyed)
  WHERE r.tenant_id = tenant.id AND r.schedule_id = ANY ($2::uuid[])
    AND (r.held_until > clock_timestamp()
         OR r.made_at > now() - interval '1 minute' AND EXISTS (
           SELECT FROM due_queue AS q
           WHERE q.tenant_id = r.tenant_id AND q.schedule_id = r.schedule_id AND q.leased_by = d.id
             AND q.lease_until > clock_timestamp()))
  LIMIT 1) AS pending

-- hold_tenant: lock a stored tenant, so that nobody else changes it until this is done. Locks no other row.
SELECT id, weight, version, created_at, updated_at
FROM tenant
WHERE id = $1::text
FOR UPDATE

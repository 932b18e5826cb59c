-- weigh_tenant: give a held tenant another weight ($2), as its next version.
-- It was made by the API's reading of this database's clock, which may be ahead of it by milliseconds: time stands still until then.
UPDATE tenant
SET weight = $2::double precision, version = version + 1, updated_at = greatest(now(), updated_at)
WHERE id = $1::text
RETURNING id, weight, version, created_at, updated_at

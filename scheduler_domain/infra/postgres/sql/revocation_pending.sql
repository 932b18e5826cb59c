-- revocation_pending: whether a dispatcher in $1 has not obeyed revocation $2, while a lease it could rely on lasts ($3).
-- A dispatcher without a row has left in order, and took its leases back.
SELECT clock_timestamp() < $3::timestamptz AND EXISTS (
  SELECT FROM dispatcher WHERE id = ANY ($1::integer[]) AND NOT $2::bigint = ANY (obeyed))

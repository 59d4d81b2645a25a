"""``Idempotency-Key``: a POST that is sent again is not carried out again."""

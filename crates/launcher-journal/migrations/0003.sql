-- The trust ledger: what is known of each user and their devices, and what an
-- operator decided. Sealed, so that nobody without the key can approve anybody.
CREATE TABLE trust (
    user TEXT PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT;

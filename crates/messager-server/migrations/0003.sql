-- What is done with is found by when that was, and what waits without what is done with.
CREATE INDEX envelopes_acknowledged ON envelopes (acked_at) WHERE acked_at IS NOT NULL;
CREATE INDEX envelopes_expiring ON envelopes (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX envelopes_waiting ON envelopes (recipient_id, recipient_device_id, sequence)
    WHERE status <> 2;
CREATE INDEX one_time_keys_claimed ON one_time_keys (claimed_at) WHERE claimed_at IS NOT NULL;

-- Ids of one-time keys that were claimed and swept away: first and last of each run.
CREATE TABLE used_key_ids (
    bundle_id BLOB NOT NULL REFERENCES bundles (id),
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (bundle_id, first)
) WITHOUT ROWID;

-- Ids are the 16 bytes of a GUID, moments are milliseconds since 1970, flags are 0 and 1.

CREATE TABLE accounts (
    id BLOB PRIMARY KEY NOT NULL,
    name TEXT NOT NULL COLLATE NOCASE UNIQUE,
    nick TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;

-- last_bundle_at is null as long as a device has uploaded no keys.
CREATE TABLE devices (
    account_id BLOB NOT NULL REFERENCES accounts (id),
    device_id TEXT NOT NULL,
    label TEXT,
    created_at INTEGER NOT NULL,
    last_bundle_at INTEGER,
    revoked_at INTEGER,
    PRIMARY KEY (account_id, device_id)
) WITHOUT ROWID;

-- Of a token only its SHA-256 is kept.
CREATE TABLE tokens (
    hash BLOB PRIMARY KEY NOT NULL,
    account_id BLOB NOT NULL,
    device_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    FOREIGN KEY (account_id, device_id) REFERENCES devices (account_id, device_id)
) WITHOUT ROWID;

-- last_row_at and last_rotation_at only ever grow: rows of a room never share a millisecond.
CREATE TABLE rooms (
    id BLOB PRIMARY KEY NOT NULL,
    kind INTEGER NOT NULL,
    name TEXT,
    description TEXT,
    picture_id TEXT,
    background_id TEXT,
    is_community INTEGER NOT NULL,
    is_public INTEGER NOT NULL,
    mode INTEGER NOT NULL,
    policy TEXT,
    account_id BLOB NOT NULL REFERENCES accounts (id),
    last_row_at INTEGER NOT NULL DEFAULT 0,
    last_rotation_at INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) WITHOUT ROWID;

-- One row per account and room for ever. A declined invitation is a deleted row, which the next one revives.
CREATE TABLE members (
    id BLOB PRIMARY KEY NOT NULL,
    room_id BLOB NOT NULL REFERENCES rooms (id),
    account_id BLOB NOT NULL REFERENCES accounts (id),
    nick TEXT,
    notify INTEGER NOT NULL DEFAULT 0,
    last_read_at INTEGER,
    joined_at INTEGER,
    leave_at INTEGER,
    invited_by_id BLOB REFERENCES accounts (id),
    break_until INTEGER,
    timeout_until INTEGER,
    timeout_cause TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    UNIQUE (room_id, account_id)
) WITHOUT ROWID;
CREATE INDEX members_of_account ON members (account_id);

-- target_id is the message that a row about a message is about.
CREATE TABLE messages (
    place INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    room_id BLOB NOT NULL REFERENCES rooms (id),
    sender_id BLOB NOT NULL REFERENCES members (id),
    kind TEXT NOT NULL,
    content TEXT,
    is_encrypted INTEGER NOT NULL,
    ciphertext BLOB,
    encryption_header BLOB,
    encryption_signature BLOB,
    encryption_scheme TEXT,
    encryption_epoch INTEGER,
    encryption_message_type TEXT,
    client_message_id TEXT,
    target_id BLOB REFERENCES messages (id),
    meta TEXT NOT NULL DEFAULT '{}',
    mentioned TEXT NOT NULL DEFAULT '[]',
    nonce TEXT,
    attachments TEXT NOT NULL DEFAULT '[]',
    replied_id BLOB REFERENCES messages (id),
    forwarded_id BLOB REFERENCES messages (id),
    edited_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
);
CREATE UNIQUE INDEX messages_of_room ON messages (room_id, created_at);
CREATE UNIQUE INDEX messages_sent_once ON messages (room_id, sender_id, client_message_id)
    WHERE kind = 'text' AND client_message_id IS NOT NULL;
CREATE INDEX messages_about ON messages (target_id) WHERE target_id IS NOT NULL;

CREATE TABLE reactions (
    id BLOB PRIMARY KEY NOT NULL,
    message_id BLOB NOT NULL REFERENCES messages (id),
    sender_id BLOB NOT NULL REFERENCES members (id),
    symbol TEXT NOT NULL,
    attitude INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (message_id, sender_id, symbol)
) WITHOUT ROWID;

CREATE TABLE voices (
    id BLOB PRIMARY KEY NOT NULL,
    room_id BLOB NOT NULL REFERENCES rooms (id),
    media_type TEXT NOT NULL,
    bytes BLOB NOT NULL,
    created_at INTEGER NOT NULL
);

-- device_id is 'legacy-account' for the keys of an account as a whole.
CREATE TABLE bundles (
    id BLOB PRIMARY KEY NOT NULL,
    account_id BLOB NOT NULL,
    device_id TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    identity_key BLOB NOT NULL,
    signed_pre_key_id INTEGER,
    signed_pre_key BLOB NOT NULL,
    signed_pre_key_signature BLOB NOT NULL,
    signed_pre_key_expires_at INTEGER,
    meta TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (account_id, device_id),
    FOREIGN KEY (account_id, device_id) REFERENCES devices (account_id, device_id)
) WITHOUT ROWID;

CREATE TABLE one_time_keys (
    bundle_id BLOB NOT NULL REFERENCES bundles (id),
    key_id INTEGER NOT NULL,
    public_key BLOB NOT NULL,
    claimed_at INTEGER,
    claimed_by BLOB REFERENCES accounts (id),
    PRIMARY KEY (bundle_id, key_id)
) WITHOUT ROWID;
CREATE INDEX one_time_keys_left ON one_time_keys (bundle_id, key_id) WHERE claimed_at IS NULL;

CREATE TABLE sessions (
    id BLOB PRIMARY KEY NOT NULL,
    account_a_id BLOB NOT NULL REFERENCES accounts (id),
    account_b_id BLOB NOT NULL REFERENCES accounts (id),
    initiated_by_id BLOB NOT NULL,
    last_message_at INTEGER,
    hint TEXT,
    meta TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (account_a_id, account_b_id)
) WITHOUT ROWID;

-- recipient_device_id is '' for envelopes to an account as a whole: two nulls would not be the same.
CREATE TABLE envelopes (
    id BLOB PRIMARY KEY NOT NULL,
    sender_id BLOB NOT NULL REFERENCES accounts (id),
    sender_device_id TEXT NOT NULL,
    recipient_id BLOB NOT NULL REFERENCES accounts (id),
    recipient_device_id TEXT NOT NULL,
    session_id BLOB,
    kind INTEGER NOT NULL,
    group_id TEXT,
    client_message_id TEXT,
    sequence INTEGER NOT NULL,
    ciphertext BLOB NOT NULL,
    header BLOB,
    signature BLOB,
    status INTEGER NOT NULL,
    delivered_at INTEGER,
    acked_at INTEGER,
    expires_at INTEGER,
    meta TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (recipient_id, recipient_device_id, sequence)
) WITHOUT ROWID;
CREATE UNIQUE INDEX envelopes_sent_once
    ON envelopes (sender_id, sender_device_id, recipient_id, recipient_device_id, client_message_id)
    WHERE client_message_id IS NOT NULL;

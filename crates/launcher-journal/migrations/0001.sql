-- What is not needed to find a row is sealed: see `seal.rs`.
-- Moments are milliseconds since 1970.

-- One row. `key_check` opens under the right pickle key only.
CREATE TABLE value (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    key_check BLOB NOT NULL,
    generation INTEGER NOT NULL,
    in_use INTEGER NOT NULL,
    position TEXT
) STRICT;

-- Messages. Without `sealed`, all that is left is that the event was there.
-- `answered` says whether the behavior has answered, be it with nothing.
CREATE TABLE inbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    event TEXT NOT NULL UNIQUE,
    room TEXT NOT NULL,
    sender TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'skipped', 'given_up')),
    tries INTEGER NOT NULL DEFAULT 0,
    answered INTEGER NOT NULL DEFAULT 0,
    arrived INTEGER NOT NULL,
    sealed BLOB
) STRICT;

CREATE INDEX inbox_waiting ON inbox (number) WHERE state = 'waiting';
CREATE INDEX inbox_settled ON inbox (arrived) WHERE state <> 'waiting';

-- Answers to the messages that wait, in the order in which they are sent.
CREATE TABLE outbox (
    number INTEGER NOT NULL,
    part INTEGER NOT NULL,
    transaction_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'done')),
    sealed BLOB,
    PRIMARY KEY (number, part)
) STRICT;

-- Events whose key is missing; `sealed` is the encrypted event.
CREATE TABLE undecryptable (
    event TEXT PRIMARY KEY,
    room TEXT NOT NULL,
    sender TEXT NOT NULL,
    session TEXT,
    cause TEXT NOT NULL,
    cause_detail TEXT NOT NULL,
    sent INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    next_try INTEGER NOT NULL,
    noticed INTEGER NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

-- Which ciphertexts of a Megolm session were there. `session` is the first
-- half of a hash of the room and the session's id, `indexes` a set of numbers
-- (see `index_set.rs`).
CREATE TABLE megolm (
    session BLOB PRIMARY KEY,
    sender TEXT NOT NULL,
    indexes BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE encrypted_room (
    room TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

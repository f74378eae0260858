-- What is not needed to find a row is sealed in `record`: see `seal.rs`.
-- Moments are milliseconds since 1970. Accounts, rooms and rows are the 16
-- bytes of their ids, sessions and keys their 32 bytes.

-- One row. `key_check` opens under the right pickle key only.
CREATE TABLE value (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    key_check BLOB NOT NULL,
    generation INTEGER NOT NULL,
    account BLOB NOT NULL,
    record BLOB NOT NULL
) STRICT;

-- What the server showed of an account.
CREATE TABLE account (
    account BLOB PRIMARY KEY,
    record BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    account BLOB NOT NULL,
    device TEXT NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (account, device)
) STRICT, WITHOUT ROWID;

-- Olm sessions; `peer` is a hash of the device's name and keys. The highest
-- `used` is the one that a message came by last.
CREATE TABLE pair (
    peer BLOB NOT NULL,
    session BLOB NOT NULL,
    used INTEGER NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (peer, session)
) STRICT, WITHOUT ROWID;

-- What is to be done about the sessions with a device.
CREATE TABLE peer (
    peer BLOB PRIMARY KEY,
    account BLOB NOT NULL,
    is_wedged INTEGER NOT NULL,
    mended INTEGER NOT NULL,
    unreachable INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Envelopes that were read, by the hash of their bytes.
CREATE TABLE envelope (
    hash BLOB PRIMARY KEY,
    arrived INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How many sessions this device has begun in a room.
CREATE TABLE room (
    room BLOB PRIMARY KEY,
    epoch INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The session that a room's next message goes into.
CREATE TABLE group_out (
    room BLOB PRIMARY KEY,
    session BLOB NOT NULL,
    record BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Every session of this device with its first key and whom it is for.
CREATE TABLE group_sent (
    session BLOB PRIMARY KEY,
    room BLOB NOT NULL,
    made INTEGER NOT NULL,
    retired INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX group_sent_room ON group_sent (room) WHERE retired = 0;

-- Sessions of other devices. `sender` is the identity key that it came from.
CREATE TABLE group_in (
    session BLOB NOT NULL,
    sender BLOB NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (session, sender)
) STRICT, WITHOUT ROWID;

-- Places of ciphertexts, read or written. `row` is the row that the place
-- belongs to; `client` a hash of what its sender called it.
CREATE TABLE place (
    session BLOB NOT NULL,
    sender BLOB NOT NULL,
    position INTEGER NOT NULL,
    row BLOB,
    hash BLOB NOT NULL,
    client BLOB NOT NULL,
    account BLOB NOT NULL,
    is_new INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    record BLOB,
    PRIMARY KEY (session, sender, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX place_row ON place (row) WHERE row IS NOT NULL;
CREATE INDEX place_client ON place (client);
CREATE INDEX place_kept ON place (seen) WHERE record IS NOT NULL;

-- Rows of this device, until the server has them and for a while after.
CREATE TABLE outbox (
    client TEXT PRIMARY KEY,
    room BLOB NOT NULL,
    session BLOB NOT NULL,
    position INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    ciphertext BLOB,
    posted BLOB,
    made INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Envelopes that the server does not have yet.
CREATE TABLE outgoing (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    account BLOB NOT NULL,
    device TEXT NOT NULL,
    kind INTEGER NOT NULL,
    room BLOB,
    session BLOB,
    client TEXT NOT NULL,
    ciphertext BLOB NOT NULL
) STRICT;

-- Sessions of which there are rows and no key.
CREATE TABLE missing (
    session BLOB NOT NULL,
    sender BLOB NOT NULL,
    room BLOB NOT NULL,
    account BLOB NOT NULL,
    first_seen INTEGER NOT NULL,
    asked INTEGER NOT NULL,
    next_ask INTEGER NOT NULL,
    PRIMARY KEY (session, sender)
) STRICT, WITHOUT ROWID;

-- Devices that have asked for a session's key. `pending` waits for an answer.
CREATE TABLE ask (
    session BLOB NOT NULL,
    account BLOB NOT NULL,
    device TEXT NOT NULL,
    room BLOB NOT NULL,
    times INTEGER NOT NULL,
    pending INTEGER NOT NULL,
    PRIMARY KEY (session, account, device)
) STRICT, WITHOUT ROWID;

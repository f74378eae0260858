-- What a person's client has to remember beside `crypto.db`. Records are sealed
-- as those are; moments are milliseconds since 1970.

-- One row: up to where rows were handed out.
CREATE TABLE value (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    position INTEGER NOT NULL
) STRICT;

-- Rooms, with the mode that they were first seen encrypted with.
CREATE TABLE room (
    room BLOB PRIMARY KEY,
    mode INTEGER,
    is_member INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Rows that were handed out; with the message, if it is one.
CREATE TABLE row (
    row BLOB PRIMARY KEY,
    room BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    record BLOB
) STRICT, WITHOUT ROWID;

CREATE INDEX row_in_room ON row (room, created_at) WHERE record IS NOT NULL;

-- Rows whose key is missing.
CREATE TABLE locked (
    row BLOB PRIMARY KEY,
    room BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Messages that the server does not have yet, the oldest first.
CREATE TABLE draft (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    client TEXT NOT NULL UNIQUE,
    record BLOB NOT NULL
) STRICT;

-- Accounts whose devices were asked for, and what was told about each device.
CREATE TABLE account (
    account BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE told (
    account BLOB NOT NULL,
    device TEXT NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (account, device)
) STRICT, WITHOUT ROWID;

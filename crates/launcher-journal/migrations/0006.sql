-- How far the work on a message is, by its behavior's own word.
CREATE TABLE work (
    event TEXT PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT;

-- The event that shows an answer before it is finished: the transaction of the
-- attempt to send it, and the event once it is known.
CREATE TABLE draft (
    number INTEGER PRIMARY KEY,
    transaction_id TEXT NOT NULL,
    event TEXT
) STRICT;

-- What behaviors remember, and the settings of rooms.
CREATE TABLE memory (
    key TEXT PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT;

-- Threads in which the agent has answered, and when it last did.
CREATE TABLE thread (
    room TEXT NOT NULL,
    root TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (room, root)
) STRICT, WITHOUT ROWID;

CREATE INDEX thread_at ON thread (at);

-- Questions about messages that wait, with their answers. `key` is the
-- message's number and the question's place.
CREATE TABLE question (
    key TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    place INTEGER NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

CREATE INDEX question_number ON question (number);

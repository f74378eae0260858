-- Messages that an operator has the agent send. `key` is a hash of the name
-- under which a message is given, `at` is when it was first tried.
CREATE TABLE outgoing (
    key TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

CREATE INDEX outgoing_at ON outgoing (at);

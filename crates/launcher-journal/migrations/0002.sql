-- What the journal knows of its agent's lives, as JSON.
ALTER TABLE value ADD COLUMN claims TEXT NOT NULL DEFAULT '{}';

-- What was sent before this moment may be missing in the table `sent`. A file
-- of before knows nothing; an hour more makes up for clocks that differ.
ALTER TABLE value ADD COLUMN sent_since INTEGER NOT NULL DEFAULT 0;
UPDATE value SET sent_since = (unixepoch() + 3600) * 1000;

-- Every transaction that was given to a message, from before its first
-- attempt: an own event that is missing here was sent by another copy of the
-- agent. `id` is the first half of a hash of it.
CREATE TABLE sent (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT;

CREATE INDEX sent_at ON sent (at);

-- Positions that lie behind, the latest of them; `id` as above.
CREATE TABLE passed (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id INTEGER NOT NULL
) STRICT;

CREATE INDEX passed_id ON passed (id);

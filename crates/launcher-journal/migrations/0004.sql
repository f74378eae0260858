-- Invitations that wait, and since when.
CREATE TABLE invitation (
    room TEXT PRIMARY KEY,
    first_seen INTEGER NOT NULL,
    refused TEXT
) STRICT;

-- Direct chats that an operator wanted, and what is said in them first.
CREATE TABLE greeting (
    user TEXT PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT;

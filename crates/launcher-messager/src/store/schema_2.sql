-- Since when a session of another device is there of which nothing was read; NULL
-- once something was.
ALTER TABLE group_in ADD COLUMN unread_since INTEGER;

UPDATE group_in SET unread_since = 1000 * unixepoch()
WHERE NOT EXISTS (SELECT 1 FROM place
                  WHERE place.session = group_in.session AND place.sender = group_in.sender);

CREATE INDEX group_in_unread ON group_in (sender, unread_since) WHERE unread_since IS NOT NULL;

CREATE INDEX outbox_session ON outbox (session);

-- Whom a room for two was with when that was first known.
ALTER TABLE room ADD COLUMN other BLOB;

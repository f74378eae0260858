-- Whether a device still has a token is asked for each socket that is open, and for each packet of one.
CREATE INDEX tokens_of_device ON tokens (account_id, device_id);

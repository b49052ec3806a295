-- The patterns that a key is narrowed to, a line each; by none when it is null.
ALTER TABLE keys ADD COLUMN scope TEXT;

DROP TRIGGER keys_changed;
CREATE TRIGGER keys_changed AFTER UPDATE OF id, name, role, scope, hash, created, expires, revoked ON keys BEGIN
    UPDATE revisions SET value = value + 1 WHERE topic = 'keys';
END;

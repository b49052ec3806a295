-- Times are seconds since 1970, state.updated is in milliseconds.
CREATE TABLE keys (
    id        TEXT PRIMARY KEY,
    name      TEXT NOT NULL,
    role      TEXT NOT NULL,
    hash      BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    created   INTEGER NOT NULL,
    expires   INTEGER,
    revoked   INTEGER,
    last_used INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE state (
    namespace TEXT NOT NULL,
    key       TEXT NOT NULL,
    value     BLOB NOT NULL,
    updated   INTEGER NOT NULL,
    PRIMARY KEY (namespace, key)
) STRICT, WITHOUT ROWID;

-- One number per subject that somebody watches. Triggers keep it, so that no program can forget to: it grows
-- with every change that matters to the watcher, and not with the others (a key that was used once more).
CREATE TABLE revisions (
    topic TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO revisions VALUES ('keys', 0);

CREATE TRIGGER keys_inserted AFTER INSERT ON keys BEGIN
    UPDATE revisions SET value = value + 1 WHERE topic = 'keys';
END;
CREATE TRIGGER keys_deleted AFTER DELETE ON keys BEGIN
    UPDATE revisions SET value = value + 1 WHERE topic = 'keys';
END;
CREATE TRIGGER keys_changed AFTER UPDATE OF id, name, role, hash, created, expires, revoked ON keys BEGIN
    UPDATE revisions SET value = value + 1 WHERE topic = 'keys';
END;

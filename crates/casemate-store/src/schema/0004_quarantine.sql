-- What calls are kept from, and calls are kept from whom. Times are seconds since 1970; without an end it lasts until
-- somebody lifts it.
CREATE TABLE quarantine (
    ward     TEXT PRIMARY KEY,
    reason   TEXT NOT NULL,
    added_by TEXT NOT NULL,
    since    INTEGER NOT NULL,
    until    INTEGER
) STRICT, WITHOUT ROWID;

INSERT INTO revisions VALUES ('quarantine', 0);

CREATE TRIGGER quarantine_inserted AFTER INSERT ON quarantine BEGIN
    UPDATE revisions SET value = value + 1 WHERE topic = 'quarantine';
END;
CREATE TRIGGER quarantine_deleted AFTER DELETE ON quarantine BEGIN
    UPDATE revisions SET value = value + 1 WHERE topic = 'quarantine';
END;
CREATE TRIGGER quarantine_changed AFTER UPDATE ON quarantine BEGIN
    UPDATE revisions SET value = value + 1 WHERE topic = 'quarantine';
END;

-- What servers declare, and what of it was approved. Fingerprints are SHA-256 of the canonical definition; the definitions
-- stand as their servers wrote them, so that a review can show what changed. Times are seconds since 1970.
CREATE TABLE pins (
    server              TEXT NOT NULL,
    kind                TEXT NOT NULL,
    name                TEXT NOT NULL,
    approved            BLOB CHECK (length(approved) = 32),
    approved_definition BLOB,
    approved_at         INTEGER,
    approved_by         TEXT,
    seen                BLOB NOT NULL CHECK (length(seen) = 32),
    seen_definition     BLOB NOT NULL,
    seen_at             INTEGER NOT NULL,
    PRIMARY KEY (server, kind, name)
) STRICT, WITHOUT ROWID;

INSERT INTO revisions VALUES ('pins', 0);

CREATE TRIGGER pins_inserted AFTER INSERT ON pins BEGIN
    UPDATE revisions SET value = value + 1 WHERE topic = 'pins';
END;
CREATE TRIGGER pins_deleted AFTER DELETE ON pins BEGIN
    UPDATE revisions SET value = value + 1 WHERE topic = 'pins';
END;
CREATE TRIGGER pins_changed AFTER UPDATE OF approved ON pins BEGIN
    UPDATE revisions SET value = value + 1 WHERE topic = 'pins';
END;

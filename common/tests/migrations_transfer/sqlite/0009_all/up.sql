CREATE TABLE owners (
    id     TEXT    NOT NULL PRIMARY KEY,
    hash   BLOB,
    hidden BOOLEAN NOT NULL,
    size   BIGINT
);
CREATE TABLE entries (
    owner TEXT    NOT NULL REFERENCES owners (id),
    seq   BIGINT  NOT NULL,
    text  TEXT,
    kept  BOOLEAN,
    PRIMARY KEY (owner, seq)
) WITHOUT ROWID;
CREATE TABLE numbered (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    text TEXT NOT NULL
);

CREATE TABLE owners (
    id     TEXT    NOT NULL PRIMARY KEY,
    hash   BYTEA,
    hidden BOOLEAN NOT NULL,
    size   BIGINT
);
CREATE TABLE entries (
    owner TEXT    NOT NULL REFERENCES owners (id),
    seq   BIGINT  NOT NULL,
    text  TEXT,
    kept  BOOLEAN,
    PRIMARY KEY (owner, seq)
);
CREATE TABLE numbered (
    id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text TEXT NOT NULL
);

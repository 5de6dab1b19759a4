-- What transcripts and telemetry said, a row a fact. Times are milliseconds since 1970, dollars are whole 10^-12 dollars.
CREATE TABLE file (
    path     TEXT PRIMARY KEY,
    inode    INTEGER NOT NULL,
    size     INTEGER NOT NULL,
    mtime    INTEGER NOT NULL,
    read_to  INTEGER NOT NULL,   -- the end of the last whole line that was read
    line     INTEGER NOT NULL,   -- how many lines that is
    head     TEXT NOT NULL,      -- a digest of its first and last bytes up to there: a file written anew is told by it
    reading  TEXT NOT NULL,
    bad      INTEGER NOT NULL,
    first    TEXT NOT NULL,      -- the first bad line, and what is wrong with it
    gone     INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE call (
    key            TEXT PRIMARY KEY,
    at             INTEGER NOT NULL,
    session        TEXT NOT NULL,
    project        TEXT NOT NULL,
    branch         TEXT NOT NULL,
    agent          TEXT NOT NULL,
    main           INTEGER NOT NULL,
    iteration      TEXT NOT NULL,
    model          TEXT NOT NULL,
    requested      TEXT NOT NULL,
    mismatch       INTEGER NOT NULL,
    version        TEXT NOT NULL,
    input          INTEGER NOT NULL,
    output         INTEGER NOT NULL,
    cache_read     INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    searches       INTEGER NOT NULL,
    speed          TEXT NOT NULL,
    geo            TEXT NOT NULL,
    stop           TEXT NOT NULL,
    request_id     TEXT NOT NULL,
    priced         INTEGER NOT NULL DEFAULT 0,  -- 0 not yet, 1 yes, 2 the price is not known
    usd            INTEGER
) WITHOUT ROWID;
CREATE INDEX call_to_price ON call (priced) WHERE priced = 0;
CREATE INDEX call_of_subagent ON call (iteration) WHERE iteration LIKE 'of %';

CREATE TABLE event (
    key       TEXT PRIMARY KEY,
    kind      TEXT NOT NULL,
    at        INTEGER NOT NULL,
    session   TEXT NOT NULL,
    project   TEXT NOT NULL,
    branch    TEXT NOT NULL,
    agent     TEXT NOT NULL,
    iteration TEXT NOT NULL,
    detail    TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX event_of_subagent ON event (iteration) WHERE iteration LIKE 'of %';
CREATE INDEX event_prompt ON event (detail, session, at) WHERE kind = 'prompt';

-- Calls that telemetry told of (source "otlp"); those that a transcript tells of, too, are told apart when they are read.
CREATE TABLE told (
    key            TEXT PRIMARY KEY,
    at             INTEGER NOT NULL,
    session        TEXT NOT NULL,
    agent          TEXT NOT NULL,
    model          TEXT NOT NULL,
    version        TEXT NOT NULL,
    input          INTEGER NOT NULL,
    output         INTEGER NOT NULL,
    cache_read     INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    speed          TEXT NOT NULL,
    request_id     TEXT NOT NULL,
    priced         INTEGER NOT NULL DEFAULT 0,
    usd            INTEGER
) WITHOUT ROWID;

CREATE TABLE kept (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- Why a release is marked as it is; when its x-alongside.before had run.
ALTER TABLE releases ADD COLUMN mark_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE releases ADD COLUMN prepared TEXT;

-- A paused instance is one that is wanted to run, with its processes frozen.
ALTER TABLE instances ADD COLUMN paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1));

-- A version that was given the ports and has still to show that it is good. `operation` is the
-- deploy that waits for the verdict.
CREATE TABLE trials (
    service TEXT PRIMARY KEY REFERENCES services (name),
    version TEXT NOT NULL,
    operation INTEGER NOT NULL REFERENCES operations (id),
    since TEXT NOT NULL,
    until TEXT NOT NULL
) STRICT;

-- Versions that had the ports and are kept by policy, not by hand. An empty deadline is none.
CREATE TABLE former (
    service TEXT NOT NULL,
    version TEXT NOT NULL,
    since TEXT NOT NULL,
    deadline TEXT NOT NULL,
    drained INTEGER NOT NULL DEFAULT 0 CHECK (drained IN (0, 1)),
    by_hand INTEGER NOT NULL DEFAULT 0 CHECK (by_hand IN (0, 1)),
    PRIMARY KEY (service, version)
) STRICT;

-- Services that follow no new release for now.
CREATE TABLE holds (
    service TEXT PRIMARY KEY REFERENCES services (name),
    since TEXT NOT NULL,
    actor TEXT NOT NULL,
    message TEXT NOT NULL
) STRICT;

-- Releases that are gone: their names are not given to another commit.
CREATE TABLE removed (
    service TEXT NOT NULL,
    version TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (service, version)
) STRICT;

-- What was written by what an operation ran, or by the container that failed: its last lines.
CREATE TABLE outputs (
    operation INTEGER PRIMARY KEY REFERENCES operations (id) ON DELETE CASCADE,
    text TEXT NOT NULL
) STRICT;

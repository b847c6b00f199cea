-- What was wanted of an instance before the operation that changes it; there until that operation
-- has succeeded, or the instance is again as it was.
CREATE TABLE wanted_before (
    service TEXT NOT NULL,
    version TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    operation INTEGER NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    wanted TEXT NOT NULL CHECK (wanted IN ('running', 'paused', 'stopped')),
    PRIMARY KEY (service, version, ordinal)
) STRICT;

CREATE TABLE settings (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- Service names belong to the host: the first repository that releases one has it.
CREATE TABLE services (
    name TEXT PRIMARY KEY,
    repository TEXT NOT NULL,
    source TEXT NOT NULL
) STRICT;

CREATE TABLE releases (
    service TEXT NOT NULL REFERENCES services (name),
    version TEXT NOT NULL,
    repository TEXT NOT NULL,
    source TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    tree_id TEXT NOT NULL,
    image TEXT NOT NULL,
    image_id TEXT NOT NULL,
    compose_file TEXT NOT NULL,
    created TEXT NOT NULL,
    spec TEXT NOT NULL,
    mark TEXT CHECK (mark IN ('good', 'bad')),
    PRIMARY KEY (service, version)
) STRICT;

CREATE TABLE instances (
    service TEXT NOT NULL,
    version TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    bridge TEXT NOT NULL UNIQUE,
    ipv4 TEXT NOT NULL UNIQUE,
    ipv6 TEXT NOT NULL UNIQUE,
    wanted TEXT NOT NULL CHECK (wanted IN ('running', 'stopped')),
    PRIMARY KEY (service, version, ordinal),
    FOREIGN KEY (service, version) REFERENCES releases (service, version)
) STRICT;

CREATE TABLE local_ports (
    number INTEGER NOT NULL CHECK (number BETWEEN 1 AND 65535),
    protocol TEXT NOT NULL CHECK (protocol IN ('tcp', 'udp')),
    target INTEGER NOT NULL CHECK (target BETWEEN 1 AND 65535),
    service TEXT NOT NULL,
    version TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    PRIMARY KEY (number, protocol),
    UNIQUE (service, version, ordinal, protocol, target),
    FOREIGN KEY (service, version, ordinal)
        REFERENCES instances (service, version, ordinal) ON DELETE CASCADE
) STRICT;

-- What is wanted of the host's ports. An empty address is any address of the host.
CREATE TABLE routes (
    protocol TEXT NOT NULL CHECK (protocol IN ('tcp', 'udp')),
    number INTEGER NOT NULL CHECK (number BETWEEN 1 AND 65535),
    address TEXT NOT NULL,
    service TEXT NOT NULL REFERENCES services (name),
    split TEXT NOT NULL,
    PRIMARY KEY (protocol, number, address)
) STRICT;

-- History and journal are one: an operation, and the steps it has come through.
CREATE TABLE operations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    verb TEXT NOT NULL,
    service TEXT NOT NULL,
    at TEXT NOT NULL,
    finished TEXT,
    uid INTEGER NOT NULL,
    actor TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    message TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('pending', 'done', 'unchanged', 'failed', 'interrupted')),
    detail TEXT NOT NULL DEFAULT '',
    routed INTEGER NOT NULL DEFAULT 0 CHECK (routed IN (0, 1))
) STRICT;
CREATE INDEX operations_by_service ON operations (service, id);

CREATE TABLE steps (
    operation INTEGER NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('started', 'done')),
    at TEXT NOT NULL,
    PRIMARY KEY (operation, position)
) STRICT;

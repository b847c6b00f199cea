-- Public ports given to what is no version of a service. An empty address is any of the host, and
-- an empty target is the host itself.
CREATE TABLE assignments (
    protocol TEXT NOT NULL CHECK (protocol IN ('tcp', 'udp')),
    number INTEGER NOT NULL CHECK (number BETWEEN 1 AND 65535),
    address TEXT NOT NULL,
    target_number INTEGER NOT NULL CHECK (target_number BETWEEN 1 AND 65535),
    target_address TEXT NOT NULL,
    on_host INTEGER NOT NULL CHECK (on_host IN (0, 1)),
    PRIMARY KEY (protocol, number, address)
) STRICT;

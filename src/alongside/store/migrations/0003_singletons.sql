-- A singleton has one instance on the whole host: of all its versions one is wanted to run.
ALTER TABLE instances ADD COLUMN singleton INTEGER NOT NULL DEFAULT 0 CHECK (singleton IN (0, 1));
CREATE UNIQUE INDEX one_singleton ON instances (service) WHERE singleton = 1 AND wanted = 'running';

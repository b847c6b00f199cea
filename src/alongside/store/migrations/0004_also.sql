-- A port that follows a range has it here, and the container's port behind it; else '' and 0.
ALTER TABLE routes ADD COLUMN follows TEXT NOT NULL DEFAULT '';
ALTER TABLE routes ADD COLUMN target INTEGER NOT NULL DEFAULT 0;

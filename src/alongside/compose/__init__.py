"""The compose file: from what a person wrote to services, and to the overrides they run with."""

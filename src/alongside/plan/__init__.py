"""Plans: what is wanted and what is seen, to named steps. Pure; carrying them out is elsewhere."""

"""The parts of the bench. Each is a module with `run(stage)`; `stage` has the hosts, how long,
and where the figures go."""

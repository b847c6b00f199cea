"""What the host itself knows: who listens, which addresses it has, what it lacks."""

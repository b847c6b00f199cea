"""What the daemon must not forget: one SQLite file.

Routes wanted, addresses and local ports given out, releases, and the journal of what was done.
Nothing that Docker or git already knows is kept here a second time.
"""

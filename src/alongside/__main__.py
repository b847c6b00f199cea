"""`python -I -m alongside`, as the git hooks call it."""

from alongside.cli import main

main()

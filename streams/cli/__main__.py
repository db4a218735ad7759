"""`python -m streams.cli`: what the supervisor starts, so that a worker runs in the same environment as itself."""

from streams.cli import main

main()

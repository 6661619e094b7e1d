"""The command line of the bench."""

from studies._cli import run_main
from studies.bench import main

if __name__ == "__main__":
    run_main(main)

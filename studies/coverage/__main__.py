"""The command line of the simulation."""

from studies._cli import run_main
from studies.coverage import main

if __name__ == "__main__":
    run_main(main)

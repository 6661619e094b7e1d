"""The command line of the paper's tables and figures."""

from studies._cli import run_main
from studies.paper import main

if __name__ == "__main__":
    run_main(main)

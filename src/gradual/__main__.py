"""Lets `python -m gradual` be the command `gradual`."""

from gradual.cli import main

if __name__ == "__main__":
    main()

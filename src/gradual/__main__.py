"""Lets `python -m gradual` be the command `gradual`."""

from gradual.cli.app import main

if __name__ == "__main__":
    main()

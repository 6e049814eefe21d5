"""``python -m batchtts`` is the command ``batchtts``."""

from batchtts.cli import main

if __name__ == "__main__":
    main()

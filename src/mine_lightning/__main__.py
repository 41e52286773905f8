"""``python -m mine_lightning``."""

from mine_lightning.cli import main

if __name__ == "__main__":
    main()

"""Let `python -m lineage` be the `lineage` command."""

from lineage.cli import main

if __name__ == "__main__":
    main()

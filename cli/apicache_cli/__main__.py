"""Entry point of `apicache` and `python -m apicache_cli`."""

from apicache_cli.app import app


def main() -> None:
    """Run the command line; exit 0 fine, 1 the command's negative, 2 bad input, 99 threshold, 130 interrupted."""
    app(prog_name="apicache")


if __name__ == "__main__":
    main()

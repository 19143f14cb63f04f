"""`apicache scenarios schema`: the format as a JSON Schema, for editors."""

from apicache_cli import output
from apicache_scenarios.format.schema import schema


def command() -> None:
    """Print the JSON Schema of scenario files.

    In a file: `# yaml-language-server: $schema=apicache.schema.json`.
    """
    output.print_json(schema())

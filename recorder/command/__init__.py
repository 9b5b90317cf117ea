"""What the command `bystander` says of itself to shells and people, made of its own parser.

Imports the standard library alone; imported by recorder.cli.
"""

"""What the README publishes, measured."""

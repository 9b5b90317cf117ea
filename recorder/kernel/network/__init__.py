"""Networks as values: the proxy for what is no media. Imports nothing of Bystander's."""

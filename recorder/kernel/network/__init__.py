"""Networks as values: addresses, and the proxy for what is no media. Imports nothing of Bystander's."""

"""The OpenAPI document and its page, made from the route table.

Imports signaling.routes; imported by signaling.app.
"""

"""OpenID Connect for the console: authorization code with PKCE, roles from a claim.

Imports signaling.routes, signaling.http and signaling.console; imported by signaling.app.
"""

"""How callers reach us: REST, WHIP entry points, WebSocket rooms, OpenAPI, the room page."""

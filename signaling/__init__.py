"""The edge that callers reach: REST, WHIP entry points, WebSocket rooms, OpenAPI, pages."""

"""Connections: a WebSocket that is kept up, requests over it and their answers, and HTTP beside it."""

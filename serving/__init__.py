"""Serving: what is known of the stream, over HTTP. Read-only: nothing here writes to the log or to the state."""

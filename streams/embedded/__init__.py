"""Broker and store as child processes on 127.0.0.1, from wheels: what `headrace up`, the demo and the tests run on."""

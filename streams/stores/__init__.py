"""The state space in Valkey or Redis: its keys, its calls and the connections they travel on."""

"""The codec seam: values that are not our JSON, by the schema of a registry, become the JSON that everything reads.

    value -> framed? -> the schema of its id (registry.py, kept) -> JSON (avro.py) -> the topic's own decoder

Everything behind it is as without: the same checks, the same reasons of dead letters, the same features. What is kept,
hashed for duplicates, archived and sent back are the bytes as they came.
"""

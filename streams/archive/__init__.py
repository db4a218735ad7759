"""The archive's writer: a consumer group of its own that turns topics into files (`headrace archive`).

What a file is and which files count is `archive/` (readers import it too); here is when one is written.
"""

"""The past, read again: every range that was applied, with its records, from the topics or from an archive of them.

`course.py` makes ranges of one partition's rows, `reading.py` says what a source of rows and records must give,
`kafka.py` is the one that reads the topics, and `feed.py` merges all partitions for features/replay.py.
"""

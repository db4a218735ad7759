"""Where files lie that outlive a process: a folder, or a bucket of any S3-compatible store."""

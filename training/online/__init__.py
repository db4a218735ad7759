"""Online learners: what learns from labels one by one, when they are due; what scores is a snapshot (models/)."""

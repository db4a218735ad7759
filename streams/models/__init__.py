"""Which models decide: chosen by what the registry has in force, and swapped while workers run."""

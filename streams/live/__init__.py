"""The live view of the stream: what a person sees of a running shop. `headrace demo` shows it."""

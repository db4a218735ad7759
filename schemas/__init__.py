"""What travels: events in, decisions out, labels, the registry of topics, the one `Settings`; codecs and JSON Schema.

The idea: every other folder may import this one, and this one imports none of them. Nothing here reads a clock, and
only `settings` reads the environment. The price: a field that two stages share must be declared here before either may
use it.
"""

"""What tests run on: real brokers and stores, started once a session, and the rule for what a machine may lack."""

"""What a stage trains on besides targets: refusals, facts held to a reference, and own answers."""

"""What `chatlib.rooms` stands on: its protocol, who a client is, and what it may do."""

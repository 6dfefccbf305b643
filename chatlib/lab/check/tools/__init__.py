"""What the rules try an answer with: servers, clients, and sockets that a rule plays itself."""

"""Where the messages of rooms are kept: in memory, or in a file that several processes share."""

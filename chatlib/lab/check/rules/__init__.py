"""The rules of each exercise and contract: what an answer has to do."""

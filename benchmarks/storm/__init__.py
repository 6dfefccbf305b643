"""The kill test: clients talk, everything fails at random, and nothing may be lost in silence."""

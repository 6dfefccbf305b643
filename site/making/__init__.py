"""How the site is made: what becomes of each file before Sphinx reads it."""

"""catalog/ and accounts/: the columns, the rules, and the typed tables made of them."""

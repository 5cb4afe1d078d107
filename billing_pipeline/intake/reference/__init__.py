"""catalog/ and accounts/: columns, rules, and the typed tables made from them."""

"""Finding call sites of client libraries (`scan`) and rewriting them (`migrate`)."""

"""How a statement is read: its tokens in, the fields of a `Statement` out."""

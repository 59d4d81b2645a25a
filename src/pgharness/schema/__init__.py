"""How an empty database becomes the application's: `find.find` says by what, `find.Schema.apply` does it."""

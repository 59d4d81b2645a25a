"""The databases that the harness makes: the template, its clones, and the ledger of them on the server."""

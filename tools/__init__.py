"""What the sessions of the noxfile run beside the tests. Standard library only, unless a module says so."""

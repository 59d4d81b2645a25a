"""How often an address or an account may knock, counted in PostgreSQL for all processes together."""

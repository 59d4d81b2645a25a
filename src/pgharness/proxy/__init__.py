"""The one place that every connection passes: a process that speaks PostgreSQL's protocol."""

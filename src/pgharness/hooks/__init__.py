"""The hooks of pytest, registered where a project has adopted the harness."""

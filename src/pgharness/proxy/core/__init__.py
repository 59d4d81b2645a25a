"""What the proxy decides, without I/O: bytes in, bytes and decisions out."""

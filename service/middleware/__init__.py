"""What wraps every request: plain ASGI, so that nothing between buffers a body or hides a context."""

"""The smallest WSGI application: `make serve` runs it."""


def app(environ, start_response):
    body = b"Hello from Corral!\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

-- Every request on a connection of its own.
wrk.headers["Connection"] = "close"

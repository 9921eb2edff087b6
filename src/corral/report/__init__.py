"""What the operator sees: the error log, the access log, process-wide figures."""

-- Sends LENGTH octets.
wrk.method = "POST"
wrk.body = string.rep("x", LENGTH)
wrk.headers["Content-Type"] = "application/octet-stream"

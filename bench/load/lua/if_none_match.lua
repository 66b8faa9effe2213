-- Asks for what the client has already, whatever it is.
wrk.headers["If-None-Match"] = "*"

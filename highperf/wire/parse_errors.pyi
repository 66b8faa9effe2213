"""Status and reason of each thing that can be wrong with a request. For compiled code: see parse_errors.pxd."""

-- Counts the requests, in memory that bench.load.connections reads while wrk runs: COUNTER names its file.
local ffi = require("ffi")
ffi.cdef[[
  int open(const char *path, int flags, ...);
  void *mmap(void *at, size_t length, int protection, int flags, int file, long offset);
]]
local READ_WRITE, SHARED, OCTETS = 2, 1, 8
local protection = 3 -- read and write
local asked = ffi.cast("uint64_t *", ffi.C.mmap(nil, OCTETS, protection, SHARED, ffi.C.open(COUNTER, READ_WRITE), 0))
local one
init = function(args) one = wrk.format() end
request = function()
  asked[0] = asked[0] + 1
  return one
end

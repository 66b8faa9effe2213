-- Asks for PATHS, which stand apart, one after another.
local requests, last = {}, 0
init = function(args)
  for path in PATHS:gmatch("%S+") do requests[#requests + 1] = wrk.format(nil, path) end
end
request = function()
  last = last % #requests + 1
  return requests[last]
end

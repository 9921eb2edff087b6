-- No request line and no header line but Host ever comes twice, not even in a later run: each request has an id of its own.
-- (A table of requests taken in turn would do for a server without a memory; one that remembers lines would learn it.)
local random = assert(io.open("/dev/urandom", "rb"))
local prefix = random:read(6):gsub(".", function(byte) return string.format("%02x", byte:byte()) end)
random:close()

local template, host

function init()
   -- wrk's own Host header is known only now.
   host = wrk.headers["Host"]
   template = table.concat({
      "GET /people/{id}/items?page={id} HTTP/1.1",
      "Host: " .. host,
      "User-Agent: agent/{id}",
      "Accept: application/vnd.item.{id}+json",
      "Accept-Language: en-{id}",
      "Authorization: Bearer {id}{id}",
      "Cookie: session={id}; visit={id}",
      "Referer: http://" .. host .. "/people/{id}",
      "If-None-Match: \"{id}\"",
      "Traceparent: 00-{id}-01",
      "X-Request-Id: {id}",
      "X-Tenant: tenant-{id}",
      "X-Client-Version: 1.0.{id}",
      "", "",
   }, "\r\n")
end

local sent = 0

function request()
   sent = sent + 1
   return (template:gsub("{id}", string.format("%s%08x", prefix, sent)))
end

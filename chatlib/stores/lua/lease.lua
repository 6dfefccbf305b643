-- Renews the lease of a worker, by the clock of Redis.
--
-- KEYS: the leases. ARGV: the worker, for how many milliseconds.
-- Returns 1 if its lease had held until now, and the workers whose lease has run out.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local lease = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], string.format('%d', now + ARGV[2]), ARGV[1])
local found = {(lease and tonumber(lease) > now) and 1 or 0}
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 100)) do
    found[#found + 1] = worker
end
return found

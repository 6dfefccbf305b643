-- Renews the lease of a worker, by the clock of Redis.
--
-- KEYS: the leases. ARGV: the worker, for how many milliseconds, and when its lease ends as far as
-- it knows.
-- Returns 1 if that lease has held until now; when the new one ends; and the workers whose lease
-- has run out. A worker whose lease is another one has not heard of what became of the one before.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local lease = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0)
local ends = string.format('%d', now + ARGV[2])
redis.call('ZADD', KEYS[1], ends, ARGV[1])
-- No lease is longer: if one ends later, the clock of Redis was put back.
local late = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ends, '+inf', 'LIMIT', 0, 100)
for _, worker in ipairs(late) do
    redis.call('ZADD', KEYS[1], ends, worker)
end
local found = {(lease == tonumber(ARGV[3]) and lease > now) and 1 or 0, ends}
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 100)) do
    found[#found + 1] = worker
end
return found

-- Forgets the people of a worker whose lease has run out, some rooms at a time, and tells.
--
-- KEYS: the leases; the rooms of the worker. ARGV: the worker; how the keys of rooms begin; how
-- their channels begin; how many rooms at most. Returns 1 if there are more.
local worker, prefix, channels = ARGV[1], ARGV[2], ARGV[3]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local lease = redis.call('ZSCORE', KEYS[1], worker)
if lease and tonumber(lease) > now then
    return 0
end
for _, room in ipairs(redis.call('SPOP', KEYS[2], ARGV[4])) do
    redis.call('DEL', prefix .. room .. '}:people:' .. worker)
    redis.call('SREM', prefix .. room .. '}:workers', worker)
    redis.call('PUBLISH', channels .. room, 'p')
end
if redis.call('EXISTS', KEYS[2]) == 1 then
    return 1
end
redis.call('ZREM', KEYS[1], worker)
return 0

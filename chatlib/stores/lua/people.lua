-- Returns the people of a room and their connections, through all workers whose lease holds.
--
-- KEYS: the workers of the room; the leases. ARGV: how the key of a worker's people begins.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local found = {}
for _, worker in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    local lease = redis.call('ZSCORE', KEYS[2], worker)
    if lease and tonumber(lease) > now then
        for _, word in ipairs(redis.call('HGETALL', ARGV[1] .. worker)) do
            found[#found + 1] = word
        end
    end
end
return found

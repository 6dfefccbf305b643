-- Returns the id and the tag of the newest message of each room.
--
-- KEYS: what is known of each log, and the log.
local heads = {}
for index = 1, #KEYS, 2 do
    local known = redis.call('HMGET', KEYS[index], 'head', 'tag')
    local there = known[1] and redis.call('EXISTS', KEYS[index + 1]) == 1
    heads[#heads + 1] = there and known[1] or '0'
    heads[#heads + 1] = there and known[2] or '00000000'
end
return heads

-- Keeps messages in the log of a room, in their order. The same key again changes nothing.
--
-- KEYS: the log, what is known of it, and the id of each key.
-- ARGV: the channel; how many messages, bytes and milliseconds are kept ('' for any age); how many
-- messages too many there may be, and how many are dropped at most; what the tag of a first message
-- follows; then for each message its key, its body, and the mark of this call.
-- Returns for each its id, its tag, and 1 if another call had kept it before.
local log, meta, keys = KEYS[1], KEYS[2], KEYS[3]
local channel = ARGV[1]
local most, most_bytes, most_age = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local slack, bite = tonumber(ARGV[5]), tonumber(ARGV[6])
local beginning = ARGV[7]
local SOME = 10 -- of the oldest messages that are looked at in one step
local TOLD_BYTES = 64 * 1024 -- of bodies, at most; others read what is more

-- Of a log of which Redis has evicted a part, nothing is of use. Nothing is written before it is
-- sure: of what a script writes, Redis refuses the first alone when its memory is full.
local parts = redis.call('EXISTS', log, meta, keys)
if parts == 1 or parts == 2 then
    redis.call('DEL', log, meta, keys)
end
local known = redis.call('HMGET', meta, 'head', 'tag', 'first', 'before', 'bytes')
local head, tag = tonumber(known[1] or 0), known[2] or beginning
local first, before = tonumber(known[3] or 1), known[4] or '00000000'
local bytes = tonumber(known[5] or 0)
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local places, about, words, told = {}, {}, {}, 0
for index = 8, #ARGV, 3 do
    local key, body, mark = ARGV[index], ARGV[index + 1], ARGV[index + 2]
    local id = redis.call('HGET', keys, key)
    -- Somebody may have removed the message by hand: then its key is free.
    local kept = id and redis.call('XRANGE', log, id .. '-0', id .. '-0')[1]
    if kept then
        local fields = kept[2]
        -- The answer to this very call was lost: it is no other one.
        local again = fields[8] == mark and 0 or 1
        places[#places + 1] = tonumber(id)
        places[#places + 1] = fields[4]
        places[#places + 1] = again
    else
        head = head + 1
        tag = string.sub(redis.sha1hex(tag .. body), 1, 8)
        id = string.format('%d', head)
        redis.call('XADD', log, id .. '-0',
            'key', key, 'tag', tag, 'body', body, 'mark', mark, 'at', now)
        redis.call('HSET', keys, key, id)
        bytes = bytes + #body
        told = told + #body
        about[#about + 1] = table.concat({id, tag, #key, #body}, ' ')
        words[#words + 1] = key .. body
        places[#places + 1] = head
        places[#places + 1] = tag
        places[#places + 1] = 0
    end
end
if #about == 0 then
    return places
end

local surplus = head + 1 - first - most
if surplus > slack or bytes > most_bytes or most_age then
    local from, last, done = first, math.min(head, first + bite + #about), false
    while first < last and not done do
        -- Some at a time: bodies may be long, and often one has to go for each that comes.
        local oldest = redis.call('XRANGE', log, string.format('%d-0', first), '+', 'COUNT', SOME)
        done = #oldest == 0
        for _, entry in ipairs(oldest) do
            local fields = entry[2]
            -- Others may have been removed by hand.
            local id = tonumber(string.match(entry[1], '^%d+'))
            surplus, first = surplus - (id - first), id
            local is_old = most_age and now - tonumber(fields[10]) > most_age
            if first >= last or not (surplus > 0 or bytes > most_bytes or is_old) then
                done = true
                break
            end
            redis.call('HDEL', keys, fields[2])
            first, before = first + 1, fields[4]
            bytes = bytes - #fields[6]
            surplus = surplus - 1
        end
    end
    if first > from then
        redis.call('XTRIM', log, 'MINID', string.format('%d-0', first))
    end
end
redis.call('HSET', meta, 'head', string.format('%d', head), 'tag', tag,
    'first', string.format('%d', first), 'before', before, 'bytes', string.format('%d', bytes))

if told <= TOLD_BYTES then
    redis.call('PUBLISH', channel, 'm' .. table.concat(about, ',') .. '\n' .. table.concat(words))
else
    redis.call('PUBLISH', channel, string.format('h%d ', head) .. tag)
end
return places

-- Returns a part of a room's log, and what is known of it, as they are at one moment. A transaction
-- would do the same, but Redis begins none when its memory is full.
--
-- KEYS: the log, what is known of it, and the ids of its keys.
-- ARGV: XRANGE or XREVRANGE, from where, to where, how many messages.
-- Returns how many of the keys there are, what is known, which message is the oldest one, and the
-- messages.
local log, meta, keys = KEYS[1], KEYS[2], KEYS[3]
local command, start, stop, limit = unpack(ARGV)
local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
return {
    redis.call('EXISTS', log, meta, keys),
    redis.call('HMGET', meta, 'head', 'tag', 'first', 'before'),
    oldest and oldest[1] or '',
    redis.call(command, log, start, stop, 'COUNT', limit),
}

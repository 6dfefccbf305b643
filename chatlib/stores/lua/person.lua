-- Notes how many connections a person has to a room through a worker.
--
-- KEYS: the people of this worker in the room; the workers of the room; the rooms of the worker.
-- ARGV: the channel, the worker, the room, the name, how many.
local people, workers, rooms = KEYS[1], KEYS[2], KEYS[3]
local channel, worker, room, name, connections = unpack(ARGV)
if connections == '0' then
    redis.call('HDEL', people, name)
else
    redis.call('HSET', people, name, connections)
end
if redis.call('EXISTS', people) == 1 then
    redis.call('SADD', workers, worker)
    redis.call('SADD', rooms, room)
else
    redis.call('SREM', workers, worker)
    redis.call('SREM', rooms, room)
end
redis.call('PUBLISH', channel, 'p')

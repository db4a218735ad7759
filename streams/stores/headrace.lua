#!lua name=headrace_1
-- The store's side of the protocol (docs/protocol.md): what each shard keeps of a range, and the calls that change it.
--
-- The store appends and compares; it computes no feature and knows no formula. Every function is one atomic step in one
-- shard: all its keys carry the shard's hash tag {n}, so the same calls run on one node and on a cluster.
--
--   {n}:at             hash, partition -> what this shard has of it: genesis, position, note of the last range applied;
--                      and '' -> the shard's number, stamped on entries; never used twice
--   {n}:home           hash, partition -> position, open range, depth of the logs; on the partition's home shard only
--   {n}:ids:PART       stream, the ids of fresh records by range: the window that duplicates are judged against
--   {n}:verdicts:PART  stream, the verdicts that are not fresh, as deep as a rollback may go
--   {n}:space          hash, what must be the same for every worker of this state space
--   {n}GROUP:ENTITY    a bag
--
-- Records are MessagePack maps with their version in `v`; one that is newer than this reader is refused, never guessed at.
-- The price: 2-4 us of the store's CPU for each bag read and appended to (bench/store.py).
--
-- It runs on Redis 7.2+ and Valkey 8+: only `redis` is used, which both have. `redis.call` and the string functions are
-- taken as locals within each function: on Valkey 9 a reference taken while the library loads is not allowed to call.

local REVISION = 3 -- of this file; a store that holds a smaller one gets this one
local FORMAT = 1 -- of the records

local UNKNOWN, POSITION, OPEN, REBIND = 0, 1, 2, 3 -- replies of begin
local AT, APPLIED = 0, 1 -- replies of apply, with REBIND

local MOST_ARGUMENTS = 4000 -- Lua unpacks fewer than 8000 values at once
local STAMP = 8 -- bytes
local NUMBER = '' -- field of {n}:at; a partition's is never empty

local function refuse(...)
  error(redis.error_reply('HEADRACE ' .. string.format(...)))
end

local function read(packed, key, partition)
  if not packed then
    return nil
  end
  local record = cmsgpack.unpack(packed)
  if record.v > FORMAT then
    local fault = 'the record of %s in %s has format %d and this worker reads up to %d: start a newer headrace'
    refuse(fault, partition, key, record.v, FORMAT)
  end
  return record
end

local function load(key, partition)
  return read(redis.call('HGET', key, partition), key, partition)
end

local function save(key, partition, record)
  record.v = FORMAT
  redis.call('HSET', key, partition, cmsgpack.pack(record))
end

-- Numbers pass 1e15, which Lua would write as 1e+15.
local function digits(number)
  return string.format('%.0f', number)
end

local function next_number(number)
  local now = redis.call('TIME')
  return math.max((tonumber(number) or 0) + 1, now[1] * 1000000 + now[2])
end

-- HOME -------------------------------------------------------------------------------------------------------------------

local function known_home(key, partition, topic_id)
  local home = load(key, partition)
  return home and home.topic_id == topic_id and home or nil
end

local function drop_old_ids(ids_key, home, limits)
  local call, oldest_s = redis.call, home.clock_s - limits.dedup_s
  if home.position >= limits.dedup_offsets then
    call('XTRIM', ids_key, 'MINID', '=', digits(home.position - limits.dedup_offsets + 1))
  end
  local head = call('XRANGE', ids_key, '-', '+', 'COUNT', '1')[1]
  while head and tonumber(head[2][2]) < oldest_s do
    call('XDEL', ids_key, head[1])
    head = call('XRANGE', ids_key, '-', '+', 'COUNT', '1')[1]
  end
end

-- An entry of either log is named by the position after its range: names grow with the log and none is 0-0.
local function log_range(ids_key, verdicts_key, home, ids, limits)
  local call, name = redis.call, digits(home.position) .. '-0'
  if ids ~= '' then
    call('XADD', ids_key, name, 'clock_s', digits(home.clock_s), 'ids', ids)
  end
  drop_old_ids(ids_key, home, limits)
  if home.open.exceptions ~= '' then
    call('XADD', verdicts_key, name, 'verdicts', home.open.exceptions)
  end
  if home.position - limits.verdict_offsets > home.floor then
    home.floor = home.position - limits.verdict_offsets
    call('XTRIM', verdicts_key, 'MINID', '=', digits(home.floor + 1))
  end
end

local function open_reply(open, mine)
  return { OPEN, open.first, open.last, open.config, open.exceptions, open.token, open.recovered and 1 or 0, mine }
end

-- KEYS: home, ids, verdicts
-- ARGV: partition, topic id, from, genesis, published, tail, config, token, the limits of both logs,
--       then last, exceptions, ids, clock where there is a proposal
local function begin(keys, args)
  local partition, topic_id, from, genesis = args[1], args[2], tonumber(args[3]), tonumber(args[4])
  local published, tail, last = tonumber(args[5]), tonumber(args[6]), tonumber(args[12])
  local home = load(keys[1], partition)
  if home and home.topic_id ~= topic_id then
    return { REBIND, home.topic_id }
  end
  if not home then
    if not last or from ~= genesis then
      return { UNKNOWN }
    end
    home = { topic_id = topic_id, genesis = genesis, position = genesis, floor = genesis, clock_s = 0 }
  end
  local closed = home.open and published >= home.open.last
  if closed then
    home.open = nil
  end
  if home.open then
    return open_reply(home.open, 0)
  end
  if not last or from ~= home.position then
    if closed then
      save(keys[1], partition, home)
    end
    return { POSITION, home.position }
  end
  home.open = {
    first = from, last = last, config = args[7], token = args[8], exceptions = args[13], recovered = from <= tail,
  }
  home.position, home.clock_s = last + 1, math.max(home.clock_s, tonumber(args[15]))
  local limits =
    { dedup_offsets = tonumber(args[9]), dedup_s = tonumber(args[10]), verdict_offsets = tonumber(args[11]) }
  log_range(keys[2], keys[3], home, args[14], limits)
  save(keys[1], partition, home)
  return open_reply(home.open, 1)
end

-- KEYS: home, verdicts; ARGV: partition, topic id, first, last
-- {1, the blobs of every range that touches first..last}, or {0, floor, position} where home cannot tell.
local function verdicts(keys, args)
  local call, first, last = redis.call, tonumber(args[3]), tonumber(args[4])
  local home = known_home(keys[1], args[1], args[2])
  if not home then
    return { 0, 0, 0 }
  end
  if last >= home.position or first < home.floor then
    return { 0, home.floor, home.position }
  end
  local blobs = {}
  for _, entry in ipairs(call('XRANGE', keys[2], digits(first + 1), digits(last))) do
    blobs[#blobs + 1] = entry[2][2]
  end
  for _, entry in ipairs(call('XRANGE', keys[2], digits(last + 1), '+', 'COUNT', '1')) do
    blobs[#blobs + 1] = entry[2][2]
  end
  return { 1, table.concat(blobs) }
end

-- KEYS: home, ids; ARGV: partition, topic id. The log together with the position that it is right for.
local function ids(keys, args)
  local home = known_home(keys[1], args[1], args[2])
  if not home then
    return nil
  end
  local blobs = {}
  for _, entry in ipairs(redis.call('XRANGE', keys[2], '-', '+')) do
    blobs[#blobs + 1] = entry[2][4]
  end
  return { home.genesis, home.position, home.clock_s, blobs }
end

-- EVERY SHARD ------------------------------------------------------------------------------------------------------------

local function read_bags(keys)
  local call, bags = redis.call, nil
  for first = 2, #keys, MOST_ARGUMENTS do
    local some = call('MGET', unpack(keys, first, math.min(first + MOST_ARGUMENTS - 1, #keys)))
    if bags then
      for i = 1, #some do
        bags[#bags + 1] = some[i]
      end
    else
      bags = some
    end
  end
  return bags or {}
end

-- Time to live by group: `ttls` is `US;GROUP=MS;GROUP=MS;*=MS`, looked up only where a bag is new or was last touched in
-- an earlier stretch of `US`: at most a day, and at most what a bag outlives its windows by.
local function lives(ttls)
  local of_group = {}
  return function(key)
    local group = string.match(key, '^{%d+}([^:]*):') or '*'
    local ttl = of_group[group]
    if not ttl then
      local _, at = string.find(ttls, ';' .. group .. '=', 1, true)
      if not at then
        _, at = string.find(ttls, ';*=', 1, true)
      end
      ttl = string.match(ttls, '^%d+', at + 1)
      of_group[group] = ttl
    end
    return ttl
  end
end

local function stamped(payload, size, stamp)
  local entries = {}
  for at = 1, #payload, size do
    entries[#entries + 1] = stamp .. string.sub(payload, at, at + size - 1)
  end
  return table.concat(entries)
end

-- `odd` names the keys that do not bring exactly one entry of the usual size: index, bytes, bytes an entry (u32 each).
local function odd_ones(odd)
  local lengths, sizes = {}, {}
  for at = 1, #odd, 12 do
    local index, length, size = struct.unpack('<I4I4I4', odd, at)
    lengths[index], sizes[index] = length, size
  end
  return lengths, sizes
end

-- Appends to each bag its part of `payload`, stamped; returns the keys that were only read.
local function append(keys, bags, number, ttls, usual, odd, payload)
  local call, sub, peek = redis.call, string.sub, struct.unpack
  local stamp, ttl_of, floor = struct.pack('>I8', number), lives(ttls), math.floor
  local stretch_us = tonumber(string.match(ttls, '^%d+'))
  local today = floor(number / stretch_us)
  local lengths, sizes = odd_ones(odd)
  local only_read, at = {}, 1
  for i = 1, #bags do
    local key, bag, length = keys[i + 1], bags[i], lengths[i] or usual
    if length == 0 then
      only_read[#only_read + 1] = key
    else
      local entries, size = sub(payload, at, at + length - 1), sizes[i] or usual
      at = at + length
      entries = length == size and stamp .. entries or stamped(entries, size, stamp)
      if bag then
        call('APPEND', key, entries)
        local tail = #bag - size - STAMP
        local touched = tail >= 0 and peek('>I8', bag, tail + 1) or 0 -- noise where the bag ends with a tile: then renewed
        if floor(touched / stretch_us) ~= today then
          call('PEXPIRE', key, ttl_of(key))
        end
      else
        call('SET', key, entries, 'PX', ttl_of(key))
      end
    end
  end
  return only_read
end

local function standing(shard)
  local before, again = shard.before or {}, shard.again
  if again then
    local topic_id, position = before.topic_id or '', before.position or 0
    return { shard.topic_id, shard.genesis, shard.position, topic_id, position, again.first, again.last }
  end
  return { shard.topic_id, shard.genesis, shard.position, before.topic_id, before.position }
end

-- KEYS: at, bags
-- ARGV: partition, topic id, genesis, first, last, token, catch-up (1; 2: maybe, see `again`), ttls, usual bytes of an entry, odd ones, payload
local function apply(keys, args)
  local partition, topic_id, genesis = args[1], args[2], tonumber(args[3])
  local first, last, token, catchup = tonumber(args[4]), tonumber(args[5]), args[6], args[7] == '1'
  local known = redis.call('HMGET', keys[1], partition, NUMBER)
  local shard = read(known[1], keys[1], partition)
    or { v = FORMAT, topic_id = topic_id, genesis = genesis, position = genesis }
  if shard.topic_id ~= topic_id then
    return { REBIND, shard.topic_id }
  end
  local note = shard.note
  if shard.position == first then
    local bags, number = read_bags(keys), next_number(known[2])
    local flag = catchup or shard.catchup or false
    local only_read = append(keys, bags, number, args[8], tonumber(args[9]), args[10], args[11])
    shard.note = { first = first, last = last, number = number, token = token, flag = flag, only_read = only_read }
    shard.position, shard.catchup = last + 1, catchup
    if args[7] ~= '0' then -- in silence, or maybe so: to be looked at again
      shard.again = { first = shard.again and shard.again.first or first, last = last }
    end
    shard.v = FORMAT
    redis.call('HSET', keys[1], NUMBER, digits(number), partition, cmsgpack.pack(shard))
    return { APPLIED, number, flag and 1 or 0, 0, bags }
  end
  if note and note.first == first and note.last == last then
    local flag = note.flag or note.token ~= token
    return { APPLIED, note.number, flag and 1 or 0, 1, read_bags(keys) }
  end
  return { AT, shard.position }
end

-- KEYS: those of begin, then those of apply, shard by shard
-- ARGV: those of begin with its proposal, ttls, then for each shard: how many keys, and the last three of apply
-- begin, and apply on every shard if the range is opened as offered: where all shards are on one server, which lets one
-- call have their keys. It is what two calls do when nothing comes between them.
local function take(keys, args)
  local begun, replies, at = begin(keys, args), {}, 3
  if begun[1] ~= OPEN or begun[8] ~= 1 then
    return { begun, replies }
  end
  for i = 17, #args, 4 do
    local own = {}
    for k = 1, tonumber(args[i]) do
      own[k] = keys[at + k]
    end
    at = at + #own
    replies[#replies + 1] = apply(own, {
      args[1], args[2], args[4], args[3], args[12], args[8], begun[7] == 1 and '2' or '0', args[16], args[i + 1], args[i + 2], args[i + 3],
    })
  end
  return { begun, replies }
end

-- KEYS: at; ARGV: partition, topic id, closed
-- Where the shard stands. The note of a range below `closed` is dropped: home has closed it, nobody may ask again, and
-- its number no longer holds up compaction.
local function where(keys, args)
  local shard, closed = load(keys[1], args[1]), tonumber(args[3])
  if not shard then
    return nil
  end
  if closed and shard.note and shard.note.last < closed and shard.topic_id == args[2] then
    shard.note = nil
    save(keys[1], args[1], shard)
  end
  return standing(shard)
end

-- KEYS: at; ARGV: partition, topic id, first, last, upto
-- Takes up to `upto` off the note of what was caught up, if it is still this one: somebody has looked at what it changed.
local function looked(keys, args)
  local shard = load(keys[1], args[1])
  local again = shard and shard.topic_id == args[2] and shard.again
  if again and again.first == tonumber(args[3]) and again.last == tonumber(args[4]) then
    local upto = tonumber(args[5])
    shard.again = upto < again.last and { first = upto + 1, last = again.last } or nil
    save(keys[1], args[1], shard)
    return 1
  end
  return 0
end

-- COMPACTION -------------------------------------------------------------------------------------------------------------

local function notes(at_key)
  local all = {}
  local fields = redis.call('HGETALL', at_key)
  for i = 1, #fields, 2 do
    local note = fields[i] ~= NUMBER and read(fields[i + 1], at_key, fields[i]).note
    if note then
      note.stamp = string.sub(struct.pack('>I8', note.number), 2) -- the first byte is 0 until the year 2255
      all[#all + 1] = note
    end
  end
  return all
end

-- Whether a range that may be asked for again needs the entries of this prefix apart: it put one there, or it read them.
local function asked_again(noted, key, prefix, newest)
  for _, note in ipairs(noted) do
    if note.number <= newest then
      if string.find(prefix, note.stamp, 1, true) then
        return true
      end
      for _, read in ipairs(note.only_read) do
        if read == key then
          return true
        end
      end
    end
  end
  return false
end

-- KEYS: at, bags; ARGV: ttls, then prefix, replacement, newest stamp for each bag. Returns how many were swapped.
local function swap(keys, args)
  local call, sub = redis.call, string.sub
  local noted, ttl_of, swapped = notes(keys[1]), lives(args[1]), 0
  for i = 2, #keys do
    local key, bag = keys[i], call('GET', keys[i])
    local prefix, replacement, newest = args[3 * i - 4], args[3 * i - 3], tonumber(args[3 * i - 2])
    if bag and sub(bag, 1, #prefix) == prefix and not asked_again(noted, key, prefix, newest) then
      call('SET', key, replacement .. sub(bag, #prefix + 1), 'PX', ttl_of(key))
      swapped = swapped + 1
    end
  end
  return swapped
end

-- ADMINISTRATION ---------------------------------------------------------------------------------------------------------

local function revision()
  return REVISION
end

-- KEYS: space; ARGV: name, value, ...: writes those that are not there yet; returns name, value of those that differ.
local function space(keys, args)
  local call, different = redis.call, {}
  for i = 1, #args, 2 do
    local known = call('HGET', keys[1], args[i])
    if not known then
      call('HSET', keys[1], args[i], args[i + 1])
    elseif known ~= args[i + 1] then
      different[#different + 1] = args[i]
      different[#different + 1] = known
    end
  end
  return different
end

-- KEYS: at, home: partition, home?, topic id, genesis, position, first and last of the open range or the note (or -1).
local function standings(keys)
  local all = {}
  for place, key in ipairs(keys) do
    local fields = redis.call('HGETALL', key)
    for i = 1, #fields, 2 do
      if fields[i] ~= NUMBER then
        local record = read(fields[i + 1], key, fields[i])
        local range = record.open or record.note or { first = -1, last = -1 }
        all[#all + 1] =
          { fields[i], place - 1, record.topic_id, record.genesis, record.position, range.first, range.last }
      end
    end
  end
  return all
end

-- KEYS: at, home, ids, verdicts; ARGV: partition, old id, old position, new id, genesis, home?, then the new id log
-- 1 where the shard stands on the new id afterwards. Ids are kept as if they ended at genesis - 1.
local function rebase(keys, args)
  local call, partition, topic_id, genesis = redis.call, args[1], args[4], tonumber(args[5])
  local old_id, old_position = args[2], tonumber(args[3])
  local shard, home = load(keys[1], partition), load(keys[2], partition)
  if not shard then
    return 0
  end
  if shard.topic_id == topic_id then
    return 1
  end
  if shard.topic_id ~= old_id or shard.position ~= old_position then
    return 0
  end
  if home then
    if args[6] ~= '1' or home.open or home.position ~= old_position then
      return 0
    end
    local clock_s = home.clock_s
    home = { topic_id = topic_id, genesis = genesis, position = genesis, floor = genesis, clock_s = clock_s }
    save(keys[2], partition, home)
    call('DEL', keys[3], keys[4])
    for i = 7, #args do
      call('XADD', keys[3], digits(genesis) .. '-' .. digits(i), 'clock_s', digits(clock_s), 'ids', args[i])
    end
  end
  local before = { topic_id = old_id, position = old_position }
  save(keys[1], partition, { topic_id = topic_id, genesis = genesis, position = genesis, before = before })
  return 1
end

local function register(name, callback, flags)
  redis.register_function { function_name = 'headrace_1_' .. name, callback = callback, flags = flags }
end

register('begin', begin)
register('apply', apply)
register('take', take)
register('verdicts', verdicts, { 'no-writes' })
register('ids', ids, { 'no-writes' })
register('where', where, { 'allow-oom' }) -- these four only ever shrink what is kept
register('looked', looked, { 'allow-oom' })
register('swap', swap, { 'allow-oom' })
register('rebase', rebase, { 'allow-oom' })
register('space', space)
register('standings', standings, { 'no-writes' })
register('revision', revision, { 'no-writes' })

-- Executes all operations of a Commit, or none.
--
-- KEYS: the row of each operation; then the sets of the rows to put, only so that
-- Redis knows of them; then the stream of announcements.
-- ARGV: now (ms), number of operations, prefix of sets, announcements that follow
-- at the end; for each operation: what to do, expected version ("" absent, "*"
-- any), kind, key, when it expires (ms), row.
--
-- Returns 1, or 0 if a row is not as expected.

local now, count, prefix, announcements = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local first, width, size = 5, 6, 32

-- sets returns the sets that a row is in.
local function sets(kind, row)
  local list = {}
  for i = 1, string.byte(row, 24) do
    list[i] = prefix .. kind .. ':' .. string.sub(row, 25 + (i - 1) * size, 24 + i * size)
  end
  return list
end

local found = {}
for i = 1, count do
  local at = first + (i - 1) * width
  local row, version = redis.call('GET', KEYS[i]), ''
  if row and tonumber(string.sub(row, 9, 23)) > now then
    version = string.sub(row, 1, 8)
  end
  if ARGV[at + 1] ~= '*' and ARGV[at + 1] ~= version then
    return 0
  end
  found[i] = row
end

local touched = {}
for i = 1, count do
  local at = first + (i - 1) * width
  local action, kind, key, expires, row = ARGV[at], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
  if action ~= 'check' and found[i] then
    for _, set in ipairs(sets(kind, found[i])) do
      redis.call('ZREM', set, key)
      touched[set] = true
    end
  end
  if action == 'put' then
    redis.call('SET', KEYS[i], row)
    redis.call('PEXPIREAT', KEYS[i], expires)
    for _, set in ipairs(sets(kind, row)) do
      redis.call('ZADD', set, expires, key)
      touched[set] = true
    end
  elseif action == 'delete' then
    redis.call('DEL', KEYS[i])
  end
end

-- A set loses the rows that have expired, by the clock of Redis: a gateway whose
-- clock is ahead removes nothing that others need. It lives as long as its last row.
if next(touched) then
  local time = redis.call('TIME')
  local ended = math.min(now, time[1] * 1000 + math.floor(time[2] / 1000))
  for set in pairs(touched) do
    redis.call('ZREMRANGEBYSCORE', set, '-inf', string.format('%.0f', ended))
    local last = redis.call('ZREVRANGE', set, 0, 0, 'WITHSCORES')
    if last[2] then
      redis.call('PEXPIREAT', set, string.format('%.0f', tonumber(last[2])))
    end
  end
end

if announcements > 0 then
  local stream = KEYS[#KEYS]
  for i = #ARGV - announcements + 1, #ARGV do
    redis.call('XADD', stream, 'MAXLEN', '~', 10000, '*', 'a', ARGV[i])
  end
  redis.call('PEXPIRE', stream, 600000)
  redis.call('PUBLISH', stream, '')
end
return 1

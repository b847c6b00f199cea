-- One record an answer, so that each can be held against what the port's route was at that time.
-- bench/load.py reads them; both clocks are CLOCK_MONOTONIC.
--
-- Each thread has one connection at a time, and wrk opens the next as soon as an answer is whole:
-- the end of one answer is when the next connection begins.

local ffi = require("ffi")
ffi.cdef [[
  struct bench_time { long seconds; long nanoseconds; };
  int clock_gettime(int clock, struct bench_time *now);
  struct bench_answer { double begun; double ended; char version[8]; };
]]
local CLOCK_MONOTONIC = 1
local moment = ffi.new("struct bench_time")
local answer = ffi.new("struct bench_answer")

local function now()
  ffi.C.clock_gettime(CLOCK_MONOTONIC, moment)
  return tonumber(moment.seconds) + tonumber(moment.nanoseconds) * 1e-9
end

local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(arguments)
  -- The file is flushed when wrk exits.
  file = io.open(arguments[1] .. "/answers-" .. number, "wb")
  file:setvbuf("full", 65536)
  answer.begun = now()
end

function response(status, headers, body)
  answer.ended = now()
  ffi.fill(answer.version, 8)
  local said = status == 200 and body:gsub("%s+$", "") or "!" .. status
  ffi.copy(answer.version, said, math.min(#said, 8))
  file:write(ffi.string(answer, 24))
  answer.begun = answer.ended
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}\n',
    summary.requests, errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
